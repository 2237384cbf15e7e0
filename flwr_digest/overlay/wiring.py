"""What a plan says to the parts of the overlay: sizes, names, and whom to trust."""

from __future__ import annotations

from flwr_digest.core.ids import NodeId
from flwr_digest.core.layout import Layout
from flwr_digest.core.plan import Plan
from flwr_digest.core.shards import shard_slices
from flwr_digest.errors import DigestError
from flwr_digest.overlay.channel import Security
from flwr_digest.overlay.frames import Codec
from flwr_digest.overlay.hello import LinkHello
from flwr_digest.overlay.identity import Identity


def codec_of(plan: Plan, layout: Layout) -> Codec:
    """Return what turns messages of a session into frames and back."""
    slices = shard_slices(layout.size, plan.shards)
    sizes = {
        stream_id: slices[stream.shard].stop - slices[stream.shard].start
        for stream_id, stream in plan.streams.items()
    }
    # Any node may relay any stream: all of them can be on its tour's records.
    return Codec(frozenset(plan.topology), sizes, rates=plan.drift_correction)


def introduction_of(node_id: NodeId, plan: Plan, layout: Layout) -> LinkHello:
    """Return how a node introduces itself."""
    return LinkHello(
        session=plan.session, node=node_id, layout=layout.fingerprint, about=str(layout)
    )


def security_of(node_id: NodeId, plan: Plan, identity: Identity | None) -> Security | None:
    """Return how a node and its neighbors trust each other; None: in plaintext.

    Raises
    ------
    DigestError
        The plan wants TLS, and the node has no identity.
    """
    if plan.insecure:
        return None
    if identity is None:
        raise DigestError(f"node {node_id} has no identity, and the plan wants TLS")
    return Security(identity=identity, peers=plan.peers)
