"""Flower's simulation engine, and what it takes to run all nodes of a session at once in it."""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flwr_digest.errors import ConfigError

_ENGINE = "flwr.server.superlink.fleet.vce.vce_api"
_MOST_NODES = 10_000  # threads are only made as nodes need them


def lift_node_limit() -> None:
    """Let the simulation engine run as many nodes at once as it has been given resources for.

    The engine runs each node's message in a thread of a pool whose size it leaves to Python's
    default: min(32, processors + 4). FedAvg's nodes can take turns; the nodes of a DIGEST session
    talk to each other, so on two processors an 8-node session could never be complete. The client
    module is loaded by the engine itself before the pool is made, so here the default is lifted.
    Anywhere but in the engine's process this does nothing.

    Raises
    ------
    ConfigError
        The engine is not the one that this was written for: better than a session that hangs.
    """
    engine = sys.modules.get(_ENGINE)
    if engine is None:
        return
    if getattr(engine, "ThreadPoolExecutor", None) is None:
        raise ConfigError(
            "this version of Flower's simulation engine is not known to flwr-digest: it may not "
            "run all nodes at once; use flwr 1.40 or 1.41"
        )
    pool = functools.partial(ThreadPoolExecutor, max_workers=_MOST_NODES)
    engine.ThreadPoolExecutor = pool  # type: ignore[attr-defined]


def simulated() -> bool:
    """Return whether this process is a node of the simulation engine."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def slots() -> int:
    """Return how many nodes the engine can run at once; 0 outside the simulation engine."""
    if not simulated():
        return 0
    ray = sys.modules["ray"]
    have = ray.cluster_resources()
    need = ray.get_runtime_context().get_assigned_resources()
    rooms = [have.get(name, 0) // amount for name, amount in need.items() if amount]
    return int(min(rooms, default=0))


def socket_address(run_id: int, node_id: int) -> str:
    """Return the unix socket of a simulated node, in a folder that only this user can enter.

    Raises
    ------
    ConfigError
        The folder exists and belongs to someone else.
    """
    folder = Path(tempfile.gettempdir()) / f"flwr-digest-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()  # of a link itself, whose mode is open to all
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ConfigError(f"{folder} is open to others: remove it, or set TMPDIR")
    return f"unix:{folder}/{run_id:x}-{node_id:x}.sock"
