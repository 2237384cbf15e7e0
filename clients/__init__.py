"""Flower clients: nodes that train all the time while streams visit them.

`digest_mod` makes a ClientApp part of DIGEST runs: its train handler, unchanged and of any
framework, is called as often as the strategy says, and streams visit in between. `attach`, in a
handler with PyTorch, lets them visit between any two optimizer steps; `digest_session` does so for
loops written from scratch, with any framework or none. All do nothing in any other run.
`load_model` reads what a node has kept on its disk.
"""

from flwr_digest.clients.array_session import ArraySession
from flwr_digest.clients.attach import attach
from flwr_digest.clients.loading import load_model
from flwr_digest.clients.loop import DigestSession
from flwr_digest.clients.mod import DigestMod, digest_mod
from flwr_digest.clients.session import digest_session

__all__ = [
    "ArraySession",
    "DigestMod",
    "DigestSession",
    "attach",
    "digest_mod",
    "digest_session",
    "load_model",
]

if __name__ != "flwr_digest.clients":  # a second copy of every class would compare unequal
    raise ImportError(f"import this package as flwr_digest.clients, not as {__name__}")
