"""A disk that is full, as a process sees it: no file can grow."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

FULL = os.strerror(errno.ENOSPC)


@contextmanager
def disk_full() -> Iterator[None]:
    """Let every `os.pwrite` fail that would make its file longer."""
    really = os.pwrite

    def pwrite(fd: int, data: memoryview | bytes, offset: int) -> int:
        if offset + len(data) > os.fstat(fd).st_size:
            raise OSError(errno.ENOSPC, FULL)
        return really(fd, data, offset)

    with patch("os.pwrite", pwrite):
        yield
