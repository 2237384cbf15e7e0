"""A node's process, as its conductor sees it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.setup import Errand

ROOT = Path(__file__).parents[2]
MODULE = "tests.chaos.child"
STOPPED = ("T", "t")


class NodeProcess:
    """A process that was started for an errand.

    Parameters
    ----------
    errand : Errand
        What it is to do.
    prefix : sequence of str
        What comes before its command.
    log : Path
        Where what it logs is kept.

    Attributes
    ----------
    killed : bool
        Whether it was ended on purpose: then its exit code says nothing.
    """

    def __init__(self, errand: Errand, prefix: Sequence[str], log: Path) -> None:
        self.errand, self.log, self.killed = errand, log, False
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with log.open("wb") as said:
            self._process = subprocess.Popen(
                [*prefix, sys.executable, "-m", MODULE, errand.to_json()],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
            )

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it has ended; None while it runs."""
        return self._process.poll()

    def tell(self, order: str) -> None:
        """Give it an order; nothing where it has ended."""
        assert self._process.stdin is not None
        if self.killed:
            return
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{order}\n".encode())
            self._process.stdin.flush()

    def kill(self) -> None:
        """End it without a word, and wait until it is gone."""
        self.killed = True
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Let it stand still; its connections stay."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    @property
    def stands_still(self) -> bool:
        """Whether it has stopped, all threads of it: nothing more comes from it."""
        try:
            stats = [task / "stat" for task in Path(f"/proc/{self.pid}/task").iterdir()]
            states = [stat.read_text().rpartition(")")[2].split()[0] for stat in stats]
        except (FileNotFoundError, ProcessLookupError):  # a thread has just ended
            return False
        return all(state in STOPPED for state in states)

    def last_words(self) -> str:
        """Return the last line that it has logged."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def close(self) -> None:
        """End it if it still runs, and close what leads to it."""
        if self.returncode is None:
            self.kill()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
