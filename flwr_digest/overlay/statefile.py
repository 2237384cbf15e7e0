"""A state file: named arrays, replaced as a whole, with room for the news of a running session.

    0      seal of the snapshot: where its index is, and the checksum of that
    512    seal of the session: the same for its news; zeros while no session has begun
    1024   the snapshot: arrays and their index; never changed, a new one is a new file
    ...    the session's room: arrays that the snapshot has not got, and the index of all

News is written into parts of the room that the last news does not use; only then the seal, within
one sector, points to it. So whenever the process is killed, what the seal points to is whole, and
the room is used again and again: no more bytes reach the disk than change between two flushes.

The room is not flushed to the disk: what a killed process has written is the kernel's, and only a
machine that goes down may lose it. So news is *exact* only under the boot that wrote it; read after
another, or where boots cannot be told apart, it may be too old, and the reader is told so.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Generic, TypeVar
from weakref import ref

import numpy.typing as npt

from flwr_digest.errors import ConfigError, StateError
from flwr_digest.overlay.link import LOGGER
from flwr_digest.overlay.places import (
    Place,
    aligned,
    gap,
    place_of_index,
    read_array,
    read_index,
    write,
    write_array,
    write_index,
)
from flwr_digest.overlay.seal import SEAL_BYTES, Seal, this_boot

SESSION_AT = 512  # another sector than the snapshot's seal
ARRAYS_AT = 1024
UNREADABLE = (AttributeError, ConfigError, KeyError, OSError, TypeError, ValueError)
"""What NumPy, JSON and we raise for a file that is not one of ours."""

Arrays = Mapping[str, npt.NDArray[Any]]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Loaded(Generic[T]):
    """What a file held.

    Attributes
    ----------
    content : T
        As the reader has parsed it.
    exact : bool
        Whether whoever wrote it did nothing afterwards that it does not know of.
    """

    content: T
    exact: bool


class StateFile:
    """One state file of one process. Its methods may be called from several threads.

    Parameters
    ----------
    path : Path
        Where it is, in a folder that exists by the time of `save`.

    Notes
    -----
    Arrays that were loaded or written must not be changed in place: one that is still the same
    object at the next `commit` is not written again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._fd: int | None = None
        self._exact = False  # as the session's seal says
        self._sure = False  # whether what was loaded or saved last is all that was done
        self._seal = Seal()  # what the session's seal points to
        self._room = 0  # where the session's room begins
        self._places: list[Place] = []  # of the last news, with its index
        self._known: dict[int, tuple[ref[npt.NDArray[Any]], Place]] = {}
        self._known_of = 0, 0  # in which file: inode, and time of the last change

    # --- the whole file -------------------------------------------------------------------------

    def save(self, arrays: Arrays) -> None:
        """Write a new snapshot, flushed to the disk, in the place of the file; ends a session.

        Raises
        ------
        OSError
            It cannot be written; the file is what it was, and a session that runs goes on.
        """
        with self._lock:
            fresh = self.path.with_suffix(".new")
            try:
                with fresh.open("wb") as file:
                    write(file.fileno(), bytes(ARRAYS_AT), 0)
                    places: dict[str, Place] = {}
                    written: dict[int, Place] = {}  # several names may have one array
                    for name, values in arrays.items():
                        if id(values) not in written:
                            at = max((p.end for p in written.values()), default=ARRAYS_AT)
                            written[id(values)] = write_array(file.fileno(), at, values)
                        places[name] = written[id(values)]
                    end = max((p.end for p in places.values()), default=ARRAYS_AT)
                    seal = write_index(file.fileno(), lambda _: end, places)
                    write(file.fileno(), seal.to_bytes(), 0)
                    os.fsync(file.fileno())
                    known_of = _identity(file.fileno())
                fresh.replace(self.path)
            except OSError:
                with contextlib.suppress(OSError):
                    fresh.unlink(missing_ok=True)  # a full disk needs the room
                raise
            self._end()
            self._remember(arrays, places)
            self._known_of, self._sure = known_of, True

    def load(self, parse: Callable[[Arrays], T]) -> Loaded[T] | None:
        """Return what the file holds, parsed; None where there is none.

        Raises
        ------
        StateError
            The file is torn or foreign; it is kept aside under another name.
        """
        with self._lock:
            if not self.path.exists():
                return None
            try:
                with self.path.open("rb") as file:
                    loaded = self._read(file.fileno(), parse)
                self._sure = loaded.exact
                return loaded
            except UNREADABLE as error:
                aside = self.path.with_suffix(".bad")
                self.path.replace(aside)
                raise StateError(
                    f"{self.path} is torn or not of this version ({error}); it was kept as "
                    f"{aside.name}, and this node starts anew when it is invited again"
                ) from error

    def peek(self, parse: Callable[[Arrays], T]) -> Loaded[T]:
        """Return what the file holds, parsed, and leave it alone whatever it is.

        Raises
        ------
        StateError
            There is none, or it is torn, foreign, or just being written.
        """
        with self._lock:
            try:
                with self.path.open("rb") as file:
                    return self._read(file.fileno(), parse)
            except FileNotFoundError as error:
                raise StateError(f"there is no state file {self.path}") from error
            except UNREADABLE as error:
                raise StateError(f"{self.path} is torn or not of this version ({error})") from error

    def _read(self, fd: int, parse: Callable[[Arrays], T]) -> Loaded[T]:
        snapshot = Seal.from_bytes(os.pread(fd, SEAL_BYTES, 0))
        found = os.pread(fd, SEAL_BYTES, SESSION_AT)
        if not any(found):
            return Loaded(content=parse(self._read_arrays(fd, snapshot)), exact=True)
        try:
            session = Seal.from_bytes(found)
            if session.length:
                content = parse(self._read_arrays(fd, session))
                return Loaded(content=content, exact=session.exact_now)
            exact = session.exact_now
        except UNREADABLE as error:
            LOGGER.warning(
                "%s: the news of its last session is torn (%s); what was saved before it is used",
                self.path, error,
            )  # fmt: skip
            exact = False
        return Loaded(content=parse(self._read_arrays(fd, snapshot)), exact=exact)

    def _read_arrays(self, fd: int, seal: Seal) -> Arrays:
        places = read_index(fd, seal)
        arrays = {name: read_array(fd, name, place) for name, place in places.items()}
        self._remember(arrays, places)
        self._known_of = _identity(fd)
        return arrays

    # --- a session ------------------------------------------------------------------------------

    def begin(self) -> None:
        """Open the room for news of a session that goes on from what was loaded, or saved.

        Raises
        ------
        OSError
            The file cannot be written, or there is none.
        """
        with self._lock:
            self._end()
            fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            try:
                snapshot = Seal.from_bytes(os.pread(fd, SEAL_BYTES, 0))
                self._room = aligned(snapshot.offset + snapshot.length)
                self._take_over(fd)
                if self._known_of != _identity(fd):  # another one was put in its place
                    self._known, self._sure = {}, False
                self._fd = fd
            finally:
                if self._fd is None:
                    os.close(fd)
            self._write_seal(self._seal, exact=self._sure)
            os.fsync(fd)  # a machine that goes down must not make this look like no session

    def _take_over(self, fd: int) -> None:
        """Go on after the news of a session that was cut off: it stays until there is newer."""
        self._seal, self._places = Seal(), []
        with contextlib.suppress(*UNREADABLE):
            seal = Seal.from_bytes(os.pread(fd, SEAL_BYTES, SESSION_AT))
            if seal.length:
                self._places = [*read_index(fd, seal).values(), place_of_index(seal)]
                self._seal = seal

    def commit(self, arrays: Arrays) -> None:
        """Write all that is to be known from now on; a process that is killed goes on from it.

        Raises
        ------
        OSError
            It cannot be written; what was known before stays, whole.
        """
        with self._lock:
            if self._fd is None:
                return
            places: dict[str, Place] = {}
            taken = [place for place in self._places if place.offset >= self._room]
            written: dict[int, Place] = {}  # several names may have one array
            for name, values in arrays.items():
                place = self._place_of(values) or written.get(id(values))
                if place is None:
                    at = gap(taken, self._room, values.nbytes)
                    place = written[id(values)] = write_array(self._fd, at, values)
                    taken.append(place)
                places[name] = place
            seal = write_index(self._fd, lambda size: gap(taken, self._room, size), places)
            self._write_seal(seal, exact=True)  # only now what was known before may be overwritten
            self._seal, self._places = seal, [*places.values(), place_of_index(seal)]
            self._remember(arrays, places)

    def fall_behind(self) -> None:
        """Note that from now on more happens than the file knows; cheap, and once is enough.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        with self._lock:
            if self._exact:
                self._write_seal(self._seal, exact=False)

    def _write_seal(self, seal: Seal, *, exact: bool) -> None:
        if self._fd is not None:
            marked = seal.marked(exact=exact, boot=this_boot())
            write(self._fd, marked.to_bytes(), SESSION_AT)
            self._exact = exact

    def _end(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
        self._fd, self._exact = None, False

    # --- which arrays are in the file already ---------------------------------------------------

    def _place_of(self, values: npt.NDArray[Any]) -> Place | None:
        known, place = self._known.get(id(values), (None, None))
        return place if known is not None and known() is values else None

    def _remember(self, arrays: Arrays, places: Mapping[str, Place]) -> None:
        self._known = {id(values): (ref(values), places[n]) for n, values in arrays.items()}


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_ino, found.st_mtime_ns
