"""A node's memory on disk: one file, replaced as a whole, checked when read."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from flwr_digest.clients.archive import from_archive, to_archive
from flwr_digest.clients.record import NodeRecord
from flwr_digest.core.state import reopened
from flwr_digest.errors import ConfigError, StateError
from flwr_digest.overlay.identity import Identity

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
        arrays = to_archive(record)
        self._make_folder()
        fresh = self._state.with_suffix(".new")
        with fresh.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._state)
        self._open.unlink(missing_ok=True)

    @property
    def session_open(self) -> bool:
        """Whether a session began that was never saved: this node was killed in it."""
        return self._open.exists()

    def recall(self, life: int) -> NodeRecord:
        """Return the memory for a session that is to begin.

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
        if not self.session_open:
            return record
        states = {stream: reopened(state, life) for stream, state in record.states.items()}
        return replace(record, life=life, states=states)

    def begin_session(self) -> None:
        """Note that a session begins, until `save`."""
        self._open.touch()

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
                    return from_archive({name: archive[name] for name in archive.files})
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
