"""Two ends of a way for models, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from flwr_digest.overlay.identity import Identity

PATIENCE_SECONDS = 60.0
"""For a single hop: 100 MB take a second at worst; on a busy machine, more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Meeting:
    """What both ends know.

    Attributes
    ----------
    address : str
        Where the receiving end listens.
    sizes : tuple of int
        How many float32 values the models have that will be sent.
    identities : tuple of Identity, or None
        Of the sending and the receiving end, for mutual TLS; None: plaintext.
    """

    address: str
    sizes: tuple[int, ...]
    identities: tuple[Identity, Identity] | None = None


class End(Protocol):
    """One end of a way."""

    def prepare(self, values: int) -> None:
        """Get ready for models of so many values; nothing is left of those before."""

    def hop(self) -> None:
        """Send a model and wait until the other end has said that it has it. The sender's."""

    def close(self) -> None:
        """End all threads and sockets."""


MakeEnd = Callable[[Meeting], End]


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """A way for models to go from one process to another.

    Attributes
    ----------
    name : str
        For the progress bar and errors.
    receive, send : callable
        Make the ends, each in its process: functions at the top of a module.
    secure : bool
        Mutual TLS, with a fresh identity for each end.
    hops : int
        How many hops one call of `hop` makes: 2 where the model comes back.
    """

    name: str
    receive: MakeEnd
    send: MakeEnd
    secure: bool = False
    hops: int = 1
