"""The seals of a state file: small records, each with its own checksum, that say what counts."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

MAGIC = b"\x89DIGEST\n"
VERSION = 1
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # Linux; see proc(5)
NO_BOOT = bytes(16)

_FIELDS = struct.Struct("<8sHH16sQQI")  # magic, version, exact, boot, offset, length, checksum
_CHECKSUM = struct.Struct("<I")
SEAL_BYTES = _FIELDS.size + _CHECKSUM.size


@dataclass(frozen=True, kw_only=True, slots=True)
class Seal:
    """Points to the index of a set of arrays.

    Attributes
    ----------
    offset, length, checksum
        Where the index is in the file, in bytes, and its CRC-32; a length of 0: there is none.
    exact : bool
        Whether nothing has happened since that the arrays do not know of.
    boot : bytes
        Under which boot of the machine it was written, 16 bytes; zeros where that is not known.
    """

    offset: int = 0
    length: int = 0
    checksum: int = 0
    exact: bool = False
    boot: bytes = NO_BOOT

    @property
    def exact_now(self) -> bool:
        """Whether that can be relied on: what is not flushed survives a process, not a machine."""
        return self.exact and self.boot != NO_BOOT and self.boot == this_boot()

    def marked(self, *, exact: bool, boot: bytes) -> Seal:
        """Return the same seal with another mark."""
        return replace(self, exact=exact, boot=boot)

    def to_bytes(self) -> bytes:
        """Return the seal as `SEAL_BYTES` bytes."""
        fields = _FIELDS.pack(
            MAGIC, VERSION, self.exact, self.boot, self.offset, self.length, self.checksum
        )
        return fields + _CHECKSUM.pack(zlib.crc32(fields))

    @staticmethod
    def from_bytes(data: bytes) -> Seal:
        """Return the seal that `to_bytes` wrote.

        Raises
        ------
        ValueError
            It is torn, foreign or of another version.
        """
        if len(data) < SEAL_BYTES or not data.startswith(MAGIC):
            raise ValueError("not a state file of flwr-digest")
        fields = data[: _FIELDS.size]
        _, version, exact, boot, offset, length, checksum = _FIELDS.unpack(fields)
        if version != VERSION:
            raise ValueError(f"file version {version}, not {VERSION}")
        if _CHECKSUM.unpack(data[_FIELDS.size : SEAL_BYTES]) != (zlib.crc32(fields),):
            raise ValueError("the seal is torn")
        return Seal(offset=offset, length=length, checksum=checksum, exact=bool(exact), boot=boot)


def this_boot() -> bytes:
    """Return what names the running boot of this machine, 16 bytes; zeros where nothing does."""
    try:
        return UUID(BOOT_ID.read_text().strip()).bytes
    except (OSError, ValueError):
        return NO_BOOT
