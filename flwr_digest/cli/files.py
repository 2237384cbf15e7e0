"""Files that are written whole or not at all, and asked about before hours of work."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from flwr_digest.errors import ConfigError, DigestError


def check_folder(option: str, folder: Path) -> None:
    """Raise `ConfigError` where a folder can neither be written to nor made."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise ConfigError(f"{option}: {existing} is no folder, so nothing can be written there")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(f"{option}: the folder {existing} cannot be written to")


def check_file(option: str, file: Path) -> None:
    """Raise `ConfigError` where a file cannot be written."""
    if file.is_dir():
        raise ConfigError(f"{option}: {file} is a folder; name a file")
    check_folder(option, file.absolute().parent)


def write_all(contents: Mapping[Path, bytes]) -> None:
    """Write files: first all of them under other names, then each takes its place in one step.

    Raises
    ------
    DigestError
        One could not be written; then none is there that was not there before, save where the
        last step itself failed.
    """
    drafts = {path: path.with_name(f".{path.name}.draft") for path in contents}
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            drafts[path].write_bytes(content)
        for path, draft in drafts.items():
            os.replace(draft, path)
    except OSError as error:
        raise DigestError(f"could not write {error.filename}: {error.strerror}") from error
    finally:
        for draft in drafts.values():
            with suppress(OSError):  # the error that matters is that of the writing
                draft.unlink()
