"""The overlay: streams go from node to node over gRPC, beside whoever trains.

Reading order: `frames` (what goes over the wire), `identity` and `address`, `link` (one neighbor),
`server` and `dialer` (how links come about), `driver` (turns frames into core events and effects
into frames), `session` (all of it, from start to goodbye).

Synchronous gRPC on purpose: data loaders that fork while the overlay runs hang `grpc.aio`, and do
not hang this (measured).
"""
