"""How much a node's local steps count: its share of the global model's steps. Pure.

With "uniform" weights all nodes count alike, as in DIGEST as published. With "examples" a node
counts as its number of training examples does in all of them, as in FedAvg: then the least of the
weighted sum of the nodes' losses is the least of the loss over all examples.
"""

from __future__ import annotations

from collections.abc import Mapping

from flwr_digest.core.ids import NodeId
from flwr_digest.core.plan import Hello

UNIFORM, EXAMPLES = "uniform", "examples"
WEIGHTINGS = (UNIFORM, EXAMPLES)

_HOW = "make its ClientApp with mods=[DigestMod(examples=...)], which says how many it has"


def shares(hellos: Mapping[NodeId, Hello], weighting: str) -> dict[NodeId, float]:
    """Return each node's weight, above 0; they sum to 1 over these nodes.

    Parameters
    ----------
    hellos : mapping of NodeId to Hello
        The members of a session; with "examples" such that `uncounted` finds nothing.
    weighting : str
        One of `WEIGHTINGS`.
    """
    counts = {
        node: 1 if weighting == UNIFORM else hello.examples or 0 for node, hello in hellos.items()
    }
    total = sum(counts.values())
    return {node: count / total for node, count in counts.items()}


def uncounted(hellos: Mapping[NodeId, Hello]) -> dict[NodeId, str]:
    """Return why some nodes can have no weight by examples: one line for each."""
    return {node: why for node, hello in hellos.items() if (why := _why_uncounted(hello.examples))}


def _why_uncounted(examples: int | None) -> str:
    if examples is None:
        return f'weighting="examples", and it has not said how many it has: {_HOW}'
    if examples < 1:
        return (
            f'weighting="examples", and it says that it has {examples} training examples: it must '
            "be 1 or more, as a node's share of the model's steps cannot be nothing"
        )
    return ""
