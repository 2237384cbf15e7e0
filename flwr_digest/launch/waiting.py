"""Waiting for what other processes do: always bounded, with an error that says what was missing."""

from __future__ import annotations

import time
from collections.abc import Callable

from flwr_digest.errors import DigestError

FIRST_PAUSE_SECONDS = 0.02
"""Short, as most waits here are for something that is about to happen."""

LONGEST_PAUSE_SECONDS = 1.0
"""Long enough to cost nothing, short enough for a person who waits."""


def wait_until(
    condition: Callable[[], bool],
    timeout_seconds: float,
    what: str,
    longest_pause_seconds: float = LONGEST_PAUSE_SECONDS,
) -> None:
    """Return once the condition holds; ask at intervals that double up to a limit.

    Parameters
    ----------
    condition : Callable[[], bool]
        Asked at least once, and once more at the very end. It may raise to give up early.
    timeout_seconds : float
        How long to wait at most.
    what : str
        What is waited for; completes the sentence "waited N s in vain for ...".
    longest_pause_seconds : float
        The upper limit of the interval; longer where asking is expensive.

    Raises
    ------
    DigestError
        If the condition does not hold in time.
    """
    deadline = time.monotonic() + timeout_seconds
    pause = FIRST_PAUSE_SECONDS
    while not condition():
        left = deadline - time.monotonic()
        if left <= 0:
            raise DigestError(f"waited {timeout_seconds:g} s in vain for {what}")
        time.sleep(min(pause, left))
        pause = min(2 * pause, longest_pause_seconds)
