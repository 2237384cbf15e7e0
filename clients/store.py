"""A node's memory on disk: one file, replaced as a whole, checked when read."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from flwr_digest.clients.record import NodeRecord
from flwr_digest.core.account import Account, Applied
from flwr_digest.core.ids import Fence, NodeId, StreamId
from flwr_digest.core.layout import Layout
from flwr_digest.core.state import StationState, reopened
from flwr_digest.core.stream import Stream, Visit
from flwr_digest.errors import ConfigError, StateError
from flwr_digest.overlay.identity import Identity

VERSION = 1
HOME = "FLWR_DIGEST_HOME"  # where the nodes' files go; else the folder digest/ in Flower's home
FLOWER_HOME = "FLWR_HOME"  # Flower's own variable; else ~/.flwr
UNREADABLE = (
    AttributeError, BadZipFile, ConfigError, EOFError, KeyError, NotImplementedError, OSError,
    RuntimeError, TypeError, ValueError,
)  # fmt: skip
"""What NumPy, zipfile, JSON and we raise for a file that is not one of ours."""


class NodeStore:
    """The files of one node in one run: its memory and its key.

    Parameters
    ----------
    run_id, node_id : int
        Flower's; a folder is made for the pair, open to this user only.

    Notes
    -----
    The memory is a NumPy archive (no pickle): each array with its checksum, and a JSON header.
    """

    def __init__(self, run_id: int, node_id: int) -> None:
        flower = Path(os.environ.get(FLOWER_HOME) or Path.home() / ".flwr")
        home = Path(os.environ.get(HOME) or flower / "digest")
        self.folder = home / f"{run_id:x}" / f"{node_id:x}"
        self._state = self.folder / "state.npz"
        self._key = self.folder / "key.pem"
        self._open = self.folder / "session-open"

    def save(self, record: NodeRecord) -> None:
        """Write the memory; the old one stays whole until the new one is."""
        arrays: dict[str, npt.NDArray[Any]] = {"model": record.model}
        arrays |= {f"rest/{name}": value for name, value in record.rest.items()}
        streams = {}
        for stream_id, state in record.states.items():
            streams[str(stream_id)] = _state_to_json(state)
            arrays |= {
                f"{stream_id}/kept": np.asarray(state.kept.model),
                f"{stream_id}/own": np.asarray(state.account.own),
            }
            for number, entry in state.account.applied.items():
                arrays[f"{stream_id}/applied/{number}"] = np.asarray(entry.own)
        header = {
            "version": VERSION,
            "layout": record.layout.to_json(),
            "order": list(record.order),
            "streams": streams,
        }
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
        self._make_folder()
        fresh = self._state.with_suffix(".new")
        with fresh.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._state)
        self._open.unlink(missing_ok=True)

    def begin_session(self, life: int) -> NodeRecord:
        """Return the memory for a session that now begins, and that `save` will end.

        Where the last session was never saved, this process was killed in it: streams have taken
        up work that the memory knows nothing of. Then the accounts are opened anew, under `life`.

        Raises
        ------
        StateError
            There is no memory of this run, or it is torn or foreign.
        """
        record = self.load()
        if record is None:
            raise StateError(f"this node has no model of this run yet (looked in {self.folder})")
        if self._open.exists():
            states = {stream: reopened(state, life) for stream, state in record.states.items()}
            record = replace(record, states=states)
        self._open.touch()
        return record

    def load(self) -> NodeRecord | None:
        """Return the memory; None where this node has none of this run.

        Raises
        ------
        StateError
            The file is torn or foreign; it is kept aside under another name.
        """
        if not self._state.exists():
            return None
        # Opened here: of a file that is no archive, NumPy would leave it open.
        with self._state.open("rb") as file:
            try:
                with np.load(file, allow_pickle=False) as archive:
                    return _record_from({name: archive[name] for name in archive.files})
            except UNREADABLE as error:
                aside = self._state.with_suffix(".bad")
                self._state.replace(aside)
                raise StateError(
                    f"{self._state} is torn or not of this version ({error}); it was kept as "
                    f"{aside.name}, and this node starts anew when it is invited again"
                ) from error

    def save_identity(self, identity: Identity) -> None:
        """Keep the node's identity from its hello until the session, for this user only."""
        self._make_folder()
        fresh = self._key.with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
            file.write(identity.key + identity.certificate)
        fresh.replace(self._key)

    def load_identity(self) -> Identity:
        """Return the identity that this node has introduced itself with.

        Raises
        ------
        StateError
            There is none, or it is torn.
        """
        try:
            text = self._key.read_bytes()
        except FileNotFoundError as error:
            raise StateError(f"this node's key is gone: {self._key}") from error
        key, begin, rest = text.partition(b"-----BEGIN CERTIFICATE-----")
        if not begin:
            raise StateError(f"this node's key is torn: {self._key}")
        return Identity(key=key, certificate=begin + rest)

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _state_to_json(state: StationState) -> dict[str, Any]:
    kept, account = state.kept, state.account
    return {
        "life": account.life,
        "steps": account.steps,
        "applied": {
            str(n): [entry.hop, entry.steps, entry.previous] for n, entry in account.applied.items()
        },
        "fence": list(kept.fence),
        "hop": kept.hop,
        "visits": {
            str(node): [visit.life, visit.number, visit.hop, visit.steps]
            for node, visit in kept.visits.items()
        },
        "highest": list(state.highest),
    }


def _record_from(arrays: dict[str, npt.NDArray[Any]]) -> NodeRecord:
    header = json.loads(arrays["header"].tobytes())
    if header["version"] != VERSION:
        raise ValueError(f"version {header['version']}, not {VERSION}")
    layout = Layout.from_json(header["layout"])
    if arrays["model"].shape != (layout.size,):
        raise ValueError(f"a model of {arrays['model'].size} values, but a layout of {layout.size}")
    names = {key.removeprefix("rest/") for key in arrays if key.startswith("rest/")}
    return NodeRecord(
        layout=layout,
        model=arrays["model"],
        order=tuple(header["order"]),
        rest={name: arrays[f"rest/{name}"] for name in names},
        states={
            StreamId(int(stream)): _state_from(int(stream), fields, arrays)
            for stream, fields in header["streams"].items()
        },
    )


def _state_from(
    stream: int, fields: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]
) -> StationState:
    visits = {
        NodeId(int(node)): Visit(life=life, number=number, hop=hop, steps=steps)
        for node, (life, number, hop, steps) in fields["visits"].items()
    }
    applied = {
        int(n): Applied(
            hop=hop, steps=steps, own=arrays[f"{stream}/applied/{n}"], previous=previous
        )
        for n, (hop, steps, previous) in fields["applied"].items()
    }
    own = arrays[f"{stream}/own"]
    return StationState(
        account=Account(life=fields["life"], own=own, steps=fields["steps"], applied=applied),
        kept=Stream(
            stream_id=StreamId(stream),
            model=arrays[f"{stream}/kept"],
            fence=_fence(fields["fence"]),
            hop=fields["hop"],
            visits=visits,
        ),
        highest=_fence(fields["highest"]),
    )


def _fence(pair: list[int]) -> Fence:
    return Fence(pair[0], NodeId(pair[1]))
