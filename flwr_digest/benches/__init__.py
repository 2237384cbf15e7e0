"""Benchmarks of the overlay on this machine, next to what else could carry a model.

`relay` (one hop between two processes), `tour` (a model passing eight nodes over slow links) and
`training` (local steps while streams pass through the node).

What is compared takes turns in one run, so what else the machine does meets all of it alike.
"""
