"""A state file: whole whenever the process is killed, and it knows whether it knows everything."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flwr_digest.errors import StateError
from flwr_digest.overlay.statefile import Arrays, Loaded, StateFile
from tests.support.full_disk import disk_full


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.digest"


def vectors(value: float, size: int = 1000, count: int = 4) -> dict[str, np.ndarray]:
    return {str(n): np.full(size, value + n, dtype=np.float32) for n in range(count)}


def whole(arrays: Arrays) -> Arrays:
    return arrays


def load(path: Path) -> Loaded[Arrays]:
    """Load as a process that has just started does."""
    loaded = StateFile(path).load(whole)
    assert loaded is not None
    return loaded


def assert_same(found: Arrays, wanted: Arrays) -> None:
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert found[name].dtype == values.dtype
        assert found[name].shape == values.shape
        assert np.array_equal(found[name], values)


def opened(path: Path, arrays: Arrays) -> StateFile:
    """Return a file with a snapshot, in a session."""
    file = StateFile(path)
    file.save(arrays)
    file.begin()
    return file


def test_where_there_is_no_file_there_is_nothing(path: Path) -> None:
    assert StateFile(path).load(whole) is None


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "int64", "uint8", "bool", ">i2", "float16"]
)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (1, 0, 2)])
def test_arrays_of_all_kinds_come_back(path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    arrays = {"a/b": np.ones(shape, dtype=dtype), "text é": np.zeros(2)[::-1]}
    StateFile(path).save(arrays)
    assert_same(load(path).content, arrays)


def test_objects_are_not_written(path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays"):
        StateFile(path).save({"odd": np.array([object()])})
    assert not path.exists()


def test_between_sessions_a_file_is_exact(path: Path) -> None:
    StateFile(path).save(vectors(1))
    assert load(path).exact


def test_what_is_exact_and_what_is_behind(path: Path) -> None:
    file = opened(path, vectors(1))
    assert load(path).exact  # so far nothing has happened
    assert_same(load(path).content, vectors(1))
    file.fall_behind()
    assert not load(path).exact
    assert_same(load(path).content, vectors(1))
    file.commit(vectors(2))
    assert load(path).exact
    assert_same(load(path).content, vectors(2))
    file.fall_behind()
    assert not load(path).exact
    assert_same(load(path).content, vectors(2))
    file.commit(vectors(3))
    assert load(path).exact
    file.save(vectors(4))
    file.commit(vectors(5))  # late: the session is over
    file.fall_behind()
    assert load(path).exact
    assert_same(load(path).content, vectors(4))


def test_a_second_process_goes_on_where_the_first_was_killed(path: Path) -> None:
    opened(path, vectors(1)).commit(vectors(2))
    again = StateFile(path)
    arrays = again.load(whole)
    assert arrays is not None
    again.begin()
    assert_same(load(path).content, vectors(2))  # not what was before the session
    for value in range(3, 9):
        again.commit(vectors(value))
        assert_same(load(path).content, vectors(value))


def test_who_goes_on_from_a_file_that_is_behind_is_behind(path: Path) -> None:
    opened(path, vectors(1)).fall_behind()
    again = StateFile(path)
    again.load(whole)
    again.begin()
    assert not load(path).exact


def test_who_has_not_looked_into_a_file_is_behind(path: Path) -> None:
    StateFile(path).save(vectors(1))
    StateFile(path).begin()
    assert not load(path).exact


def written_by(file: StateFile, arrays: Arrays) -> int:
    """Return how many bytes a commit writes."""
    count, really = 0, os.pwrite

    def pwrite(fd: int, data: memoryview, offset: int) -> int:
        nonlocal count
        count += len(data)
        return really(fd, data, offset)

    with patch("os.pwrite", pwrite):
        file.commit(arrays)
    return count


OVERHEAD = 1000  # an index and a seal


def test_what_is_the_same_object_is_not_written_again(path: Path) -> None:
    arrays = vectors(1)
    file = opened(path, arrays)
    assert written_by(file, arrays) < OVERHEAD
    assert 4000 < written_by(file, arrays | {"0": np.ones(1000, dtype=np.float32)}) < 5000
    assert 16_000 < written_by(file, vectors(1)) < 17_000  # equal, but who knows for how long
    assert_same(load(path).content, vectors(1))


def test_what_has_two_names_is_written_once(path: Path) -> None:
    once = np.ones(1000, dtype=np.float32)
    file = opened(path, {"a": once, "b": once})
    assert path.stat().st_size < 1024 + 4000 + OVERHEAD
    other = np.zeros(1000, dtype=np.float32)
    assert written_by(file, {"a": other, "b": other, "c": once}) < 4000 + OVERHEAD
    assert_same(load(path).content, {"a": other, "b": other, "c": once})


def test_what_was_loaded_is_not_written_again(path: Path) -> None:
    StateFile(path).save(vectors(1))
    file = StateFile(path)
    loaded = file.load(whole)
    assert loaded is not None
    file.begin()
    assert written_by(file, loaded.content) < OVERHEAD


def test_an_array_that_is_gone_is_not_taken_for_one_at_the_same_address(path: Path) -> None:
    file = opened(path, {})
    for value in range(50):  # memory that was given free is used again at once
        file.commit({"a": np.full(1000, value, dtype=np.float32)})
        assert load(path).content["a"][0] == value


def test_another_file_in_its_place_is_not_taken_for_what_was_loaded(path: Path) -> None:
    arrays = vectors(1)
    file = StateFile(path)
    file.save(arrays)
    StateFile(path).save({"other": np.zeros(3)})
    file.begin()
    file.commit(arrays)
    assert_same(load(path).content, arrays)


def test_a_session_does_not_grow_the_file_without_bound(path: Path) -> None:
    file = opened(path, vectors(1))
    for value in range(100):
        file.commit(vectors(value))
    assert path.stat().st_size < 16_000 * 3.5  # the snapshot, the last news, and the next


commits = st.lists(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 4000)), max_size=8)


@given(commits)
@settings(deadline=None)
def test_whatever_changes_the_last_news_comes_back(
    tmp_path_factory: pytest.TempPathFactory, commits: list[dict[str, int]]
) -> None:
    path = tmp_path_factory.mktemp("state") / "state.digest"
    arrays: dict[str, np.ndarray] = {}
    file = opened(path, arrays)
    for number, sizes in enumerate(commits):
        changed = {name: np.full(size, number, np.int32) for name, size in sizes.items()}
        arrays = {**arrays, **changed}
        file.commit(arrays)
        assert_same(load(path).content, arrays)


# --- killed at any moment -----------------------------------------------------------------------


class KilledError(Exception):
    """Here the process would be gone."""


@contextmanager
def kills(writes: int, share: float) -> Iterator[None]:
    """Let a process die in one of its writes, with a share of that one done."""
    left, really = writes, os.pwrite

    def pwrite(fd: int, data: memoryview, offset: int) -> int:
        nonlocal left
        left -= 1
        if left >= 0:
            return really(fd, data, offset)
        really(fd, memoryview(data)[: int(share * len(data))], offset)
        raise KilledError

    with patch("os.pwrite", pwrite):
        yield


WRITES = 4 + 1 + 1  # of a commit: arrays, index, seal


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("writes", range(WRITES))
def test_a_kill_in_the_middle_of_a_commit_leaves_the_news_before_or_the_new(
    path: Path, writes: int, share: float
) -> None:
    if (writes, share) == (WRITES - 1, 0.5):
        share = 0.0  # a seal is written within one sector: all or nothing
    file = opened(path, vectors(1))
    for value in (2, 3, 4):
        file.commit(vectors(value))
    with kills(writes, share), pytest.raises(KilledError):
        file.commit(vectors(5))
    done = (writes, share) == (WRITES - 1, 1.0)
    assert load(path).exact  # nothing of what the new ones tell of has been seen by anyone
    assert_same(load(path).content, vectors(5 if done else 4))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("writes", range(1 + WRITES))
def test_a_kill_in_the_middle_of_a_save_leaves_the_file_before(
    path: Path, writes: int, share: float
) -> None:
    file = opened(path, vectors(1))
    file.commit(vectors(2))
    with kills(writes, share), pytest.raises(KilledError):
        file.save(vectors(3))
    assert_same(load(path).content, vectors(2))
    StateFile(path).save(vectors(4))
    assert_same(load(path).content, vectors(4))
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_torn_seal_of_a_session_leaves_the_snapshot(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened(path, vectors(1)).commit(vectors(2))
    content = bytearray(path.read_bytes())
    content[530] ^= 1
    path.write_bytes(content)
    loaded = load(path)
    assert not loaded.exact
    assert_same(loaded.content, vectors(1))
    assert "the news of its last session is torn" in caplog.text


@pytest.mark.parametrize(
    "content", [b"", b"text", bytes(2000), b"\x80\x04N.", b"PK\x03\x04" + bytes(600)]
)
def test_a_foreign_file_is_kept_aside(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StateError, match="torn or not of this version") as caught:
        StateFile(path).load(whole)
    assert "\n" not in str(caught.value)
    assert path.with_suffix(".bad").read_bytes() == content
    assert StateFile(path).load(whole) is None


# --- a full disk --------------------------------------------------------------------------------


def test_a_full_disk_leaves_the_news_before(path: Path) -> None:
    file = opened(path, vectors(1))
    file.commit(vectors(2))
    with disk_full(), pytest.raises(OSError, match="No space"):
        file.commit(vectors(3))
    assert_same(load(path).content, vectors(2))
    file.fall_behind()
    assert not load(path).exact
    file.commit(vectors(4))
    assert load(path).exact
    assert_same(load(path).content, vectors(4))


def test_a_save_that_fails_leaves_the_session_open(path: Path) -> None:
    file = opened(path, vectors(1))
    with disk_full(), pytest.raises(OSError, match="No space"):
        file.save(vectors(3))
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    file.commit(vectors(2))
    assert_same(load(path).content, vectors(2))


def test_no_session_begins_in_a_file_that_is_none(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        StateFile(path).begin()
