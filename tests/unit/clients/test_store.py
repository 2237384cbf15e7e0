"""A node's memory survives whole, or is known to be lost."""

from __future__ import annotations

import json
import shutil
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from flwr_digest.clients.archive import to_archive
from flwr_digest.clients.record import Cut, NodeRecord, first_record
from flwr_digest.clients.sessions import streams_model
from flwr_digest.clients.store import FLOWER_HOME, HOME, NodeStore
from flwr_digest.core.account import contribute, deposit, open_account, pass_on, settle
from flwr_digest.core.cargo import Cargo
from flwr_digest.core.ids import Fence, NodeId, StreamId
from flwr_digest.core.layout import Entry, Layout
from flwr_digest.core.shards import shard_slices
from flwr_digest.core.state import StationState, first_state, for_new_session
from flwr_digest.errors import StateError
from flwr_digest.overlay import seal
from flwr_digest.overlay.identity import Identity, new_identity
from flwr_digest.overlay.keeper import Keeper
from flwr_digest.overlay.memory import json_array
from flwr_digest.overlay.seal import BOOT_ID
from flwr_digest.overlay.statefile import StateFile
from tests.support.flower_app import initial_arrays
from tests.support.flower_grid import RUN_ID
from tests.support.full_disk import FULL, disk_full

ME, OTHER = NodeId(2**63 + 7), NodeId(5)
EVERYONE = frozenset({ME, OTHER})
CUT = Cut(shards=2)
REGIONAL = Cut(shards=2, regions=(EVERYONE, frozenset({ME, NodeId(8)})))


@pytest.fixture
def store() -> NodeStore:
    return NodeStore(RUN_ID, ME)


def lived(life: int = 77, cut: Cut = CUT) -> NodeRecord:
    """Return the memory of a node that has trained and was visited several times."""
    record = first_record(initial_arrays(), life=life)
    slices = shard_slices(record.model.size, cut.shards)
    states = {
        stream_id: lived_state(stream_id, record.model[slices[cut.shard_of(stream_id)]], life)
        for stream_id in map(StreamId, range(cut.shards * max(1, len(cut.regions))))
    }
    return replace(record, model=record.model * 2, cut=cut, states=states)


def lived_state(stream_id: StreamId, initial: npt.NDArray[np.float32], life: int) -> StationState:
    state = for_new_session(first_state(stream_id, initial, life), drift_correction=True)
    account, kept = state.account, replace(state.kept, fence=Fence(3, OTHER), clock_seconds=0.1)
    generator = np.random.default_rng([1, stream_id])

    def cargo() -> Cargo:
        model, rate = generator.normal(size=(2, initial.size)).astype(np.float32)
        return Cargo(model=model, rate=rate)

    for turn in range(4):
        account = contribute(account, cargo(), steps=5)
        if turn == 2 and stream_id % 2:  # a gateway
            account = pass_on(account, cargo())
        settlement = settle(account, kept, ME, [ME, OTHER])
        account, _ = deposit(settlement.account, settlement.stream)
        theirs = settle(open_account(cargo(), 3), settlement.stream, OTHER, [ME, OTHER])
        kept = theirs.stream  # another node's visit
        visit = replace(kept.last_visit(ME), born_seconds=1.5, behind=3)
        kept = replace(kept, visits={**kept.visits, ME: visit})
    account = contribute(account, cargo(), steps=2)  # not yet given
    return StationState(account=account, kept=kept, highest=Fence(4, ME))


def without_rates(state: StationState) -> StationState:
    return for_new_session(state, drift_correction=False)


def flattened(state: StationState) -> dict[str, npt.NDArray[np.float32]]:
    account = state.account
    parts = {"kept": state.kept.model, "inflow": account.inflow.model}
    parts |= {str(number): entry.inflow.model for number, entry in account.applied.items()}
    owns = {"own": account.own, **{f"own/{n}": e.own for n, e in account.applied.items()}}
    parts |= {name: own.model for name, own in owns.items() if own is not None}
    if account.deposit is not None:
        parts["deposit"] = account.deposit.model
    return {name: np.asarray(part) for name, part in parts.items()}


def bare(state: StationState) -> StationState:
    """Return a state without its vectors, so that states can be compared."""
    none: Any = "left out"
    account = state.account
    applied = {n: replace(e, inflow=none, own=none) for n, e in account.applied.items()}
    return replace(
        state,
        kept=replace(state.kept, model=none),
        account=replace(
            account,
            inflow=none,
            applied=applied,
            deposit=None if account.deposit is None else none,
            own=none,
        ),
    )


def assert_same_state(mine: StationState, theirs: StationState) -> None:
    assert bare(without_rates(mine)) == bare(without_rates(theirs))
    mine_flat, theirs_flat = flattened(mine), flattened(theirs)
    assert mine_flat.keys() == theirs_flat.keys()
    for name, values in theirs_flat.items():
        assert np.array_equal(mine_flat[name], values)
        assert mine_flat[name].dtype == np.float32


def assert_same(one: NodeRecord | None, other: NodeRecord) -> None:
    assert one is not None
    assert one.layout == other.layout
    assert one.order == other.order
    assert (one.life, one.cut) == (other.life, other.cut)
    assert one.rest.keys() == other.rest.keys()
    for name, value in other.rest.items():
        assert one.rest[name].dtype == value.dtype
        assert np.array_equal(one.rest[name], value)
    assert np.array_equal(one.model, other.model)
    assert one.model.dtype == np.float32
    assert one.states.keys() == other.states.keys()
    for stream_id, theirs in other.states.items():
        assert_same_state(one.states[stream_id], theirs)


def test_before_the_first_hello_there_is_nothing(store: NodeStore, digest_home: Path) -> None:
    assert store.load() is None
    assert not digest_home.exists()


@pytest.mark.parametrize("cut", [Cut(shards=1), CUT, REGIONAL], ids=str)
def test_all_of_it_but_the_rates_comes_back_exactly(store: NodeStore, cut: Cut) -> None:
    record = lived(cut=cut)
    state = record.states[StreamId(0)]
    assert len(state.account.applied) > 1
    assert state.kept.rate is not None
    assert len(record.states) == cut.shards * max(1, len(cut.regions))
    store.save(record)
    found = store.load()
    assert_same(found, record)
    assert found is not None
    assert all(bare(old) == bare(without_rates(old)) for old in found.states.values())
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
    return store.folder / "state.digest"


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
    arrays = dict(to_archive(lived()))
    header = {**json.loads(arrays["header"].tobytes()), **changes}
    arrays["header"] = json_array(header)
    store.save(lived())
    StateFile(state_file(store)).save(arrays)
    return state_file(store).read_bytes()


def test_rewriting_alone_breaks_nothing(store: NodeStore) -> None:
    rewritten(store)
    assert_same(store.load(), lived())


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 1},
        {"layout": "[]"},
        {"layout": "not JSON"},
        {"layout": Layout((Entry("other", (3,)),)).to_json()},
        {"order": None},
        {"life": "long"},
        {"cut": None},
        {"cut": {"shards": 3, "regions": []}},
        {"cut": {"shards": 2, "regions": 7}},
    ],
    ids=str,
)
def test_a_file_of_another_kind_is_kept_aside(store: NodeStore, changes: dict[str, object]) -> None:
    content = rewritten(store, **changes)
    assert_kept_aside(store, content)


@pytest.mark.parametrize("about", [[], {}, {"life": 3}, "text"], ids=str)
def test_a_stream_of_another_kind_is_kept_aside(store: NodeStore, about: object) -> None:
    store.save(lived())
    StateFile(state_file(store)).save({**to_archive(lived()), "0/about": json_array(about)})
    assert_kept_aside(store, state_file(store).read_bytes())


def test_a_stream_without_its_vectors_is_kept_aside(store: NodeStore) -> None:
    arrays = dict(to_archive(lived()))
    del arrays["1/inflow"]
    store.save(lived())
    StateFile(state_file(store)).save(arrays)
    assert_kept_aside(store, state_file(store).read_bytes())


def test_no_flipped_bit_goes_unnoticed(store: NodeStore) -> None:
    """A flipped bit is found by a checksum, or was in nothing that matters."""
    record = lived(cut=Cut(shards=1))
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


def begun(store: NodeStore, record: NodeRecord, share: float = 1.0) -> Keeper:
    """Begin a session with a memory, as it is in the store, and return its keeper."""
    keeper = store.keeper(record, share)
    keeper.begin(record.states)
    return keeper


def killed() -> NodeStore:
    """Return the store of a process that comes after one that was killed."""
    return NodeStore(RUN_ID, ME)


def test_a_session_that_was_saved_goes_on(store: NodeStore) -> None:
    store.save(lived())
    for life in (100, 101):
        record = store.recall(life)
        assert_same(record, lived())
        begun(store, record)
        store.save(lived())
        assert store.exact


def test_a_session_that_has_just_begun_is_no_loss(store: NodeStore) -> None:
    store.save(lived())
    begun(store, store.recall(100))
    assert_same(killed().recall(101), replace(lived(), model=streams_model(lived())))


@pytest.mark.parametrize("cut", [CUT, REGIONAL], ids=str)
def test_after_a_kill_a_saved_visit_is_known_exactly(store: NodeStore, cut: Cut) -> None:
    before, after = lived(cut=cut), further(lived(cut=cut))
    store.save(before)
    keeper = begun(store, store.recall(100))
    keeper.keep(after.states)
    again = killed()
    record = again.recall(101)
    assert again.exact
    assert_same(record, replace(after, model=streams_model(after)))
    assert record.life == before.life
    for stream_id, state in after.states.items():  # rates too: the session may still run
        rate, found = state.kept.rate, record.states[stream_id].kept.rate
        assert rate is not None
        assert found is not None
        assert np.array_equal(found, rate)


def further(record: NodeRecord) -> NodeRecord:
    """Return a memory after one more visit of each stream."""
    states = {}
    for stream_id, state in record.states.items():
        ones = state.kept.model * 0 + np.float32(1)
        account = contribute(state.account, Cargo(model=ones, rate=ones), steps=7)
        settled = settle(account, state.kept, ME, [ME, OTHER])
        states[stream_id] = replace(state, account=settled.account, kept=settled.stream)
    return replace(record, states=states)


@pytest.mark.parametrize("cut", [CUT, REGIONAL], ids=str)
def test_after_an_unsaved_visit_new_accounts_are_opened(store: NodeStore, cut: Cut) -> None:
    store.save(lived(life=77, cut=cut))
    begun(store, store.recall(100), share=0.0).keep(further(lived(cut=cut)).states)
    store = killed()
    again = store.recall(life=101)
    known_exactly = store.exact
    assert not known_exactly
    assert again.life == 101
    for stream_id, state in again.states.items():
        assert (state.account.life, state.account.steps) == (101, 0)
        assert state.account.deposit is None  # what it had passed on is not known
        assert state.kept.order == lived(cut=cut).states[stream_id].kept.order
    assert np.array_equal(again.model, streams_model(lived(cut=cut)))
    store.save(again)
    assert store.exact
    assert_same(store.load(), again)


def test_a_new_life_is_above_the_old_one_whatever_the_clock_says(store: NodeStore) -> None:
    store.save(first_record(initial_arrays(), life=77))
    for life in (78, 79):
        begun(store, store.recall(5), share=0.0).keep({})
        store = killed()
        record = store.recall(5)
        assert record.life == life
        begun(store, record)  # and this is saved
        store.save(record)


def test_a_kill_before_the_first_visit_of_a_reopened_memory_loses_no_more(store: NodeStore) -> None:
    store.save(lived())
    begun(store, store.recall(100), share=0.0).keep({})
    begun(killed(), killed().recall(101), share=0.0)
    record = killed().recall(102)
    assert record.life == 101  # saved as the session began
    assert record.states.keys() == lived().states.keys()


@pytest.mark.skipif(not BOOT_ID.exists(), reason="nothing names the boot here")
def test_after_the_machine_went_down_new_accounts_are_opened(
    store: NodeStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store.save(lived())
    begun(store, store.recall(100)).keep(further(lived()).states)
    (tmp_path / "boot").write_text("11111111-2222-3333-4444-555555555555\n")
    monkeypatch.setattr(seal, "BOOT_ID", tmp_path / "boot")
    assert killed().recall(101).life == 101
    (tmp_path / "boot").unlink()  # a machine that does not tell its boots apart
    assert killed().recall(102).life == 102


def test_torn_news_of_a_session_is_said_and_costs_no_more_than_that(
    store: NodeStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.save(lived())
    whole = state_file(store).stat().st_size
    begun(store, store.recall(100)).keep(further(lived()).states)
    content = bytearray(state_file(store).read_bytes())
    content[whole + 100] ^= 1
    put(store, bytes(content))
    record = killed().recall(101)
    assert "the news of its last session is torn" in caplog.text
    assert record.life == 101
    assert record.states[StreamId(0)].kept.order == lived().states[StreamId(0)].kept.order


# --- what cannot be written ---------------------------------------------------------------------


def test_a_full_disk_is_one_clear_line_and_the_old_memory_stays(store: NodeStore) -> None:
    store.save(lived())
    with disk_full(), pytest.raises(StateError) as caught:
        store.save(further(lived()))
    line = str(caught.value)
    assert line == f"cannot save this node's state to {state_file(store)}: {FULL}"
    assert [path.name for path in store.folder.iterdir()] == ["state.digest"]
    assert_same(store.load(), lived())


def test_a_folder_that_cannot_be_made_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(HOME, str(tmp_path / "file"))
    with pytest.raises(StateError, match=r"^cannot save this node's state to .*: Not a directory$"):
        NodeStore(RUN_ID, ME).save(lived())
    with pytest.raises(StateError, match=r"^cannot save this node's key to .*: Not a directory$"):
        NodeStore(RUN_ID, ME).save_identity(new_identity(ME))


def test_a_session_is_kept_where_there_is_no_room_for_a_new_file(store: NodeStore) -> None:
    store.save(lived())
    keeper = begun(store, store.recall(100))
    for _ in range(3):
        keeper.keep(further(lived()).states)  # each finds room where the one before last was
    with disk_full(), pytest.raises(StateError):
        store.save(further(lived()))
    keeper.keep_all(further(further(lived())).states)
    record = killed().recall(101)
    after = further(further(lived()))
    assert_same(record, replace(after, model=streams_model(after)))


def test_a_session_needs_a_memory(store: NodeStore) -> None:
    with pytest.raises(StateError, match="no model of this run yet") as caught:
        store.recall(life=1)
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
