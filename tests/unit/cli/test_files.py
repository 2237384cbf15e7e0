"""Files are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from flwr_digest.cli.files import check_file, check_folder, write_all
from flwr_digest.errors import ConfigError, DigestError


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_folders_that_are_there_or_can_be_made_will_do(tmp_path: Path) -> None:
    check_folder("--out", tmp_path)
    check_folder("--out", tmp_path / "new" / "newer")
    check_file("--trace", tmp_path / "new" / "trace.jsonl")

    assert names(tmp_path) == []


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")

    for path in ("taken", "taken/below"):
        with pytest.raises(ConfigError, match=r"^--out: .*taken is no folder"):
            check_folder("--out", tmp_path / path)


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--trace: .* is a folder; name a file$"):
        check_file("--trace", tmp_path)


def test_all_files_get_there_with_their_folders(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    write_all({tmp_path / "a" / "b": b"one", tmp_path / "old": b"new"})

    assert names(tmp_path) == ["a", "a/b", "old"]
    assert (tmp_path / "a" / "b").read_bytes() == b"one"
    assert (tmp_path / "old").read_bytes() == b"new"


def test_if_one_cannot_be_written_none_is(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")

    with pytest.raises(DigestError, match=r"^could not write .*taken.*: "):
        write_all({tmp_path / "first": b"one", tmp_path / "taken" / "second": b"two"})

    assert names(tmp_path) == ["taken"]
