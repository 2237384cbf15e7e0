"""What real nodes have on their disks, read while they run and after they ended."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from flwr_digest.clients.archive import from_archive
from flwr_digest.clients.record import NodeRecord
from flwr_digest.clients.store import STATE_FILE
from flwr_digest.errors import StateError
from flwr_digest.overlay.statefile import StateFile

MOST_SECONDS = 900.0  # past that something hangs: it takes a minute or two


def records_in(home: Path) -> Mapping[Path, NodeRecord]:
    """Return what nodes have on their disks; those that are just writing are left out."""
    found = {}
    for file in home.rglob(STATE_FILE):
        with suppress(StateError):
            found[file] = StateFile(file).peek(from_archive).content
    return found


def steps_of(record: NodeRecord) -> int:
    """Return how many of its steps a node has in its accounts, of the shard with fewest."""
    return min((state.account.steps for state in record.states.values()), default=0)


def visited(home: Path, nodes: int) -> bool:
    """Whether streams have taken up local steps at so many nodes."""
    records = records_in(home).values()
    return len(records) == nodes and all(map(steps_of, records))
