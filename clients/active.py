"""The session that the running train handler belongs to, if any. Imports no torch."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flwr_digest.clients.participation import Participation

current: ContextVar[Participation | None] = ContextVar("flwr_digest_participation", default=None)
