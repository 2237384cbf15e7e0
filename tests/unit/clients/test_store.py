"""A node's memory survives whole, or is known to be lost."""

from __future__ import annotations

import json
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flwr_digest.clients.record import THE_STREAM, NodeRecord, first_record
from flwr_digest.clients.store import FLOWER_HOME, HOME, NodeStore
from flwr_digest.core.account import contribute, settle
from flwr_digest.core.ids import Fence, NodeId
from flwr_digest.core.layout import Entry, Layout
from flwr_digest.core.state import StationState
from flwr_digest.errors import StateError
from flwr_digest.overlay.identity import Identity, new_identity
from tests.support.flower_app import initial_arrays
from tests.support.flower_grid import RUN_ID

ME, OTHER = NodeId(2**63 + 7), NodeId(5)


@pytest.fixture
def store() -> NodeStore:
    return NodeStore(RUN_ID, ME)


def lived(life: int = 77) -> NodeRecord:
    """Return the memory of a node that has trained and was visited several times."""
    record = first_record(initial_arrays(), life=life)
    state = record.states[THE_STREAM]
    account, kept = state.account, replace(state.kept, fence=Fence(3, OTHER))
    generator = np.random.default_rng(1)
    for _ in range(4):
        move = generator.normal(size=record.model.size).astype(np.float32)
        account = contribute(account, move, steps=5, weight=1 / 3)
        settlement = settle(account, kept, ME, [ME, OTHER])
        account, kept = settlement.account, settlement.stream
        kept = settle(account, kept, OTHER, [ME, OTHER]).stream  # another node's visit
    account = contribute(account, record.model, steps=2, weight=1 / 3)  # not yet given
    state = StationState(account=account, kept=kept, highest=Fence(4, ME))
    return replace(record, model=record.model * 2, states={THE_STREAM: state})


def assert_same(one: NodeRecord | None, other: NodeRecord) -> None:
    assert one is not None
    assert one.layout == other.layout
    assert one.order == other.order
    assert one.rest.keys() == other.rest.keys()
    for name, value in other.rest.items():
        assert one.rest[name].dtype == value.dtype
        assert np.array_equal(one.rest[name], value)
    assert np.array_equal(one.model, other.model)
    assert one.model.dtype == np.float32
    mine, theirs = one.states[THE_STREAM], other.states[THE_STREAM]
    assert mine.highest == theirs.highest
    assert mine.kept.order == theirs.kept.order
    assert mine.kept.visits == theirs.kept.visits
    assert np.array_equal(mine.kept.model, theirs.kept.model)
    assert (mine.account.life, mine.account.steps) == (theirs.account.life, theirs.account.steps)
    assert np.array_equal(mine.account.own, theirs.account.own)
    assert mine.account.applied.keys() == theirs.account.applied.keys()
    for number, entry in theirs.account.applied.items():
        read = mine.account.applied[number]
        assert replace(read, own=entry.own) == replace(entry, own=entry.own)
        assert np.array_equal(read.own, entry.own)


def test_before_the_first_hello_there_is_nothing(store: NodeStore, digest_home: Path) -> None:
    assert store.load() is None
    assert not digest_home.exists()


def test_all_of_it_comes_back_exactly(store: NodeStore) -> None:
    record = lived()
    assert len(record.states[THE_STREAM].account.applied) > 1
    store.save(record)
    assert_same(store.load(), record)
    store.save(first_record(initial_arrays(), life=3))
    assert_same(store.load(), first_record(initial_arrays(), life=3))


def test_nodes_and_runs_do_not_share(store: NodeStore) -> None:
    store.save(lived())
    assert NodeStore(RUN_ID, OTHER).load() is None
    assert NodeStore(RUN_ID + 1, ME).load() is None


def test_the_folder_follows_our_variable_then_flowers(
    monkeypatch: pytest.MonkeyPatch, digest_home: Path, tmp_path: Path
) -> None:
    assert NodeStore(0xAB, 0xCD).folder == digest_home / "ab" / "cd"
    monkeypatch.delenv(HOME)
    monkeypatch.setenv(FLOWER_HOME, str(tmp_path))
    assert NodeStore(0xAB, 0xCD).folder == tmp_path / "digest" / "ab" / "cd"
    monkeypatch.delenv(FLOWER_HOME)
    assert NodeStore(0xAB, 0xCD).folder == Path.home() / ".flwr" / "digest" / "ab" / "cd"


def test_others_cannot_look_in(store: NodeStore) -> None:
    store.save(lived())
    store.save_identity(new_identity(ME))
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((store.folder / "key.pem").stat().st_mode) == 0o600


# --- what is torn, foreign or of another version ------------------------------------------------


def state_file(store: NodeStore) -> Path:
    return store.folder / "state.npz"


def assert_kept_aside(store: NodeStore, content: bytes) -> None:
    with pytest.raises(StateError) as caught:
        store.load()
    line = str(caught.value)
    assert "\n" not in line
    assert str(state_file(store)) in line
    assert "starts anew" in line
    assert (store.folder / "state.bad").read_bytes() == content
    assert store.load() is None  # from here on as if there had been none


def put(store: NodeStore, content: bytes) -> None:
    store.folder.mkdir(parents=True, exist_ok=True)
    state_file(store).write_bytes(content)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_torn_file_is_kept_aside(store: NodeStore, share: float) -> None:
    store.save(lived())
    whole = state_file(store).read_bytes()
    put(store, whole[: int(len(whole) * share)])
    assert_kept_aside(store, whole[: int(len(whole) * share)])


@pytest.mark.parametrize(
    "content", [b"nonsense", b"\x80\x04N.", bytes(1000)], ids=["text", "pickle", "zeros"]
)
def test_a_foreign_file_is_kept_aside(store: NodeStore, content: bytes) -> None:
    put(store, content)
    assert_kept_aside(store, content)


def test_a_bare_array_is_kept_aside(store: NodeStore, tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(3))
    content = (tmp_path / "one.npy").read_bytes()
    put(store, content)
    assert_kept_aside(store, content)


def rewritten(store: NodeStore, **changes: object) -> bytes:
    """Save a good memory, then change fields of its header."""
    store.save(lived())
    with np.load(state_file(store)) as file:
        arrays = {name: file[name] for name in file.files}
    header = {**json.loads(arrays["header"].tobytes()), **changes}
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    np.savez(state_file(store), **arrays)
    return state_file(store).read_bytes()


def test_rewriting_alone_breaks_nothing(store: NodeStore) -> None:
    rewritten(store)
    assert_same(store.load(), lived())


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"layout": "[]"},
        {"layout": "not JSON"},
        {"layout": Layout((Entry("other", (3,)),)).to_json()},
        {"streams": []},
        {"streams": {"0": []}},
        {"streams": {"zero": {}}},
        {"order": None},
    ],
    ids=str,
)
def test_a_file_of_another_kind_is_kept_aside(store: NodeStore, changes: dict[str, object]) -> None:
    content = rewritten(store, **changes)
    assert_kept_aside(store, content)


def test_no_flipped_bit_goes_unnoticed(store: NodeStore) -> None:
    """A flipped bit is found by a checksum, or was in nothing that matters."""
    record = lived()
    store.save(record)
    whole = state_file(store).read_bytes()
    found = 0
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        put(store, bytes(damaged))
        try:
            read = store.load()
        except StateError:
            found += 1
            assert (store.folder / "state.bad").read_bytes() == bytes(damaged)
        else:
            assert_same(read, record)
    assert found > len(whole) / 3 * 0.5


# --- a save that is cut short -------------------------------------------------------------------


def test_an_interrupted_save_leaves_the_old_memory(store: NodeStore) -> None:
    store.save(lived())
    unwritable = np.array([object()])
    broken = replace(first_record(initial_arrays(), life=9), rest={"odd": unwritable})
    with pytest.raises(ValueError, match=r"[Oo]bject arrays"):
        store.save(broken)
    assert_same(store.load(), lived())
    store.save(first_record(initial_arrays(), life=9))
    assert_same(store.load(), first_record(initial_arrays(), life=9))


def test_a_half_written_new_file_is_not_read(store: NodeStore) -> None:
    store.save(lived())
    (store.folder / "state.new").write_bytes(state_file(store).read_bytes()[:50])
    assert_same(store.load(), lived())


# --- sessions -----------------------------------------------------------------------------------


def test_a_session_that_was_saved_goes_on(store: NodeStore) -> None:
    store.save(lived())
    assert_same(store.begin_session(life=100), lived())
    store.save(lived())
    assert_same(store.begin_session(life=101), lived())


def test_a_session_that_was_cut_off_opens_a_new_account(store: NodeStore) -> None:
    store.save(lived(life=77))
    store.begin_session(life=100)
    again = NodeStore(RUN_ID, ME).begin_session(life=101)  # the process before was killed
    state = again.states[THE_STREAM]
    assert (state.account.life, state.account.steps) == (101, 0)
    assert state.kept.order == lived().states[THE_STREAM].kept.order
    assert np.array_equal(again.model, lived().model)


def test_a_session_needs_a_memory(store: NodeStore) -> None:
    with pytest.raises(StateError, match="no model of this run yet") as caught:
        store.begin_session(life=1)
    assert str(store.folder) in str(caught.value)


# --- the key ------------------------------------------------------------------------------------


def test_the_identity_comes_back_and_the_last_one_counts(store: NodeStore) -> None:
    first, second = new_identity(ME), new_identity(ME)
    store.save_identity(first)
    store.save_identity(second)
    assert store.load_identity() == second


def test_a_lost_key_is_said_in_one_line(store: NodeStore) -> None:
    with pytest.raises(StateError, match="key is gone"):
        store.load_identity()
    store.save_identity(new_identity(ME))
    shutil.rmtree(store.folder)
    with pytest.raises(StateError, match="key is gone"):
        store.load_identity()


def test_a_torn_key_is_a_lost_key(store: NodeStore) -> None:
    store.save_identity(Identity(key=b"-----BEGIN PRIV", certificate=b""))
    with pytest.raises(StateError, match="key"):
        store.load_identity()
