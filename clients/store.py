"""A node's memory on disk: one file, replaced as a whole, checked when read."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from flwr_digest.clients.archive import frame_of, from_archive, to_archive
from flwr_digest.clients.record import NodeRecord
from flwr_digest.core.ids import NodeId
from flwr_digest.core.state import reopened
from flwr_digest.errors import StateError
from flwr_digest.overlay.identity import Identity
from flwr_digest.overlay.keeper import Keeper
from flwr_digest.overlay.statefile import StateFile

HOME = "FLWR_DIGEST_HOME"  # where the nodes' files go; else the folder digest/ in Flower's home
STATE_FILE = "state.digest"  # in a node's folder
FLOWER_HOME = "FLWR_HOME"  # Flower's own variable; else ~/.flwr


class NodeStore:
    """The files of one node in one run: its memory and its key.

    Parameters
    ----------
    run_id, node_id : int
        Flower's; a folder is made for the pair, open to this user only.

    Attributes
    ----------
    exact : bool
        Whether the memory, as it was last loaded or saved, knows all that this node has done.
        False: a session went on without it, and was never saved: this node was killed in it.
    """

    def __init__(self, run_id: int, node_id: int) -> None:
        flower = Path(os.environ.get(FLOWER_HOME) or Path.home() / ".flwr")
        home = Path(os.environ.get(HOME) or flower / "digest")
        self.folder = home / f"{run_id:x}" / f"{node_id:x}"
        self._node_id = NodeId(node_id)
        self._file = StateFile(self.folder / STATE_FILE)
        self._key = self.folder / "key.pem"
        self.exact = True

    def save(self, record: NodeRecord) -> None:
        """Write the memory between sessions; the old one stays whole until the new one is.

        Raises
        ------
        StateError
            It cannot be written.
        """
        try:
            self._make_folder()
            self._file.save(to_archive(record))
        except OSError as error:
            raise StateError(
                f"cannot save this node's state to {self._file.path}: {error.strerror or error}"
            ) from error
        self.exact = True

    def recall(self, life: int) -> NodeRecord:
        """Return the memory for a session that is to begin.

        Where it does not know all that was done in the last session, streams have taken up work
        that it knows nothing of. Then the accounts are opened anew, under `life` or a higher one.

        Raises
        ------
        StateError
            There is no memory of this run, or it is torn or foreign.
        """
        record = self.load()
        if record is None:
            raise StateError(f"this node has no model of this run yet (looked in {self.folder})")
        if self.exact:
            return record
        life = max(life, record.life + 1)
        states = {stream: reopened(state, life) for stream, state in record.states.items()}
        return replace(record, life=life, states=states)

    def keeper(self, record: NodeRecord, share: float) -> Keeper:
        """Return what keeps this memory up to date while a session runs, until `save`.

        Parameters
        ----------
        record : NodeRecord
            As the session begins with it: of the streams' states only what the plan has.
        share : float
            Most of the time that saving may take, see `Keeper`.
        """
        return Keeper(node_id=self._node_id, file=self._file, rest=frame_of(record), share=share)

    def load(self) -> NodeRecord | None:
        """Return the memory; None where this node has none of this run.

        Raises
        ------
        StateError
            The file is torn or foreign; it is kept aside under another name.
        """
        loaded = self._file.load(from_archive)
        self.exact = loaded is None or loaded.exact
        return None if loaded is None else loaded.content

    def save_identity(self, identity: Identity) -> None:
        """Keep the node's identity from its hello until the session, for this user only.

        Raises
        ------
        StateError
            It cannot be written.
        """
        fresh = self._key.with_suffix(".new")
        try:
            self._make_folder()
            opened = os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            with os.fdopen(opened, "wb") as file:
                file.write(identity.key + identity.certificate)
            fresh.replace(self._key)
        except OSError as error:
            raise StateError(
                f"cannot save this node's key to {self._key}: {error.strerror or error}"
            ) from error

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
