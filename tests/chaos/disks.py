"""A disk for each node that can be full: a small one of its own where the machine allows."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from flwr_digest.core.ids import NodeId

DISK_BYTES = 1 << 20  # far more than a state file of these models takes
_CHUNK_BYTES = 4096


def mounts_work(folder: Path) -> bool:
    """Return whether this machine lets us mount a disk at `folder`."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    if not _mounted(folder):
        return False
    subprocess.run(["umount", "-l", folder], check=True)
    return True


def _mounted(at: Path) -> bool:
    at.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(at)]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


class Disk:
    """The disk of one node.

    Parameters
    ----------
    folder : Path
        Where it is mounted, or else a folder as any other.
    real : bool
        Whether it is to be a disk of its own; else a process has to be told that it is full.
    """

    def __init__(self, folder: Path, *, real: bool) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.real = real and _mounted(folder)

    def state_of(self, node: NodeId) -> Path:
        """Return where a node keeps its state."""
        return self.folder / f"{node}.digest"

    def fill(self) -> None:
        """Leave no room on it."""
        with contextlib.suppress(OSError), self._filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(_CHUNK_BYTES))

    def free(self) -> None:
        """Make room again."""
        self._filler.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it; whoever was killed there holds nothing open any more."""
        if self.real:
            subprocess.run(["umount", "-l", self.folder], check=True)

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"
