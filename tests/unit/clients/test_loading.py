"""A node's model, read from its disk by whoever asks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flwr_digest.clients import load_model
from flwr_digest.clients.record import first_record
from flwr_digest.clients.store import STATE_FILE, NodeStore
from flwr_digest.core.ids import NodeId
from flwr_digest.errors import StateError
from tests.support.flower_app import initial_arrays
from tests.support.flower_grid import RUN_ID


@pytest.fixture
def store() -> NodeStore:
    store = NodeStore(RUN_ID, NodeId(5))
    store.save(first_record(initial_arrays(), life=1))
    return store


def test_the_model_has_the_names_shapes_and_kinds_that_it_was_given_with(store: NodeStore) -> None:
    given = {name: array.numpy() for name, array in initial_arrays().items()}

    for path in (store.folder, str(store.folder / STATE_FILE)):
        model = load_model(path)
        assert list(model) == list(given)
        for name, values in given.items():
            assert model[name].dtype == values.dtype
            np.testing.assert_array_equal(model[name], values)


def test_in_the_midst_of_a_session_it_can_be_read_and_stays_as_it_is(store: NodeStore) -> None:
    record = store.recall(life=1)
    keeper = store.keeper(record, share=1.0)
    keeper.begin(record.states)
    before = (store.folder / STATE_FILE).read_bytes()

    assert set(load_model(store.folder)) == set(initial_arrays())
    assert (store.folder / STATE_FILE).read_bytes() == before


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"^there is no state file .*state\.digest$"):
        load_model(tmp_path)


def test_a_torn_file_is_one_line_and_left_alone(store: NodeStore) -> None:
    file = store.folder / STATE_FILE
    file.write_bytes(file.read_bytes()[:-5])

    with pytest.raises(StateError, match=r"^[^\n]* is torn or not of this version \([^\n]*\)$"):
        load_model(file)
    assert file.exists()
