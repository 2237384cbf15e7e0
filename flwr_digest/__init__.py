"""DIGEST decentralized learning for Flower: models travel from node to node, not to a server."""

from __future__ import annotations

__version__ = "0.1.0"
