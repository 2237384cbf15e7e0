"""What a node remembers, and how it becomes Flower's arrays again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from flwr.app import Array, ArrayRecord

from flwr_digest.clients.record import Cut, first_record, to_arrays
from flwr_digest.core.ids import NodeId, StreamId
from flwr_digest.errors import ConfigError
from flwr_digest.learning.flat import layout_of
from tests.support.flower_app import Net, initial_arrays


def arrays_of(**values: npt.NDArray[np.generic]) -> ArrayRecord:
    return ArrayRecord({name: Array(value) for name, value in values.items()})


def test_a_model_comes_back_as_it_came() -> None:
    arrays = initial_arrays()
    record = first_record(arrays, life=1)
    back = to_arrays(record, record.model)
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        value = array.numpy()
        assert back[name].numpy().dtype == value.dtype
        assert back[name].numpy().shape == value.shape
        assert np.array_equal(back[name].numpy(), value)


def test_integers_stay_where_they_were_among_the_others() -> None:
    arrays = arrays_of(
        count=np.array(3, dtype=np.int64),
        weight=np.ones((2, 2), dtype=np.float32),
        flags=np.array([True, False]),
        bias=np.zeros(2, dtype=np.float32),
    )
    record = first_record(arrays, life=1)
    assert record.layout.size == 6
    back = to_arrays(record, np.arange(6, dtype=np.float32))
    assert list(back) == ["count", "weight", "flags", "bias"]
    assert back["count"].numpy() == 3
    assert back["flags"].numpy().tolist() == [True, False]
    assert back["weight"].numpy().tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert back["bias"].numpy().tolist() == [4.0, 5.0]


def test_the_layout_is_the_one_that_torch_would_give() -> None:
    assert first_record(initial_arrays(), life=1).layout == layout_of(Net())


def test_before_the_first_session_there_are_no_streams() -> None:
    record = first_record(initial_arrays(), life=8)
    assert (record.life, record.cut, record.states) == (8, None, {})


def test_a_cut_tells_what_a_stream_carries_and_says_itself_in_words() -> None:
    regions = (frozenset({NodeId(1), NodeId(2)}), frozenset({NodeId(2), NodeId(3), NodeId(4)}))
    assert [Cut(shards=3).shard_of(StreamId(s)) for s in range(3)] == [0, 1, 2]
    cut = Cut(shards=3, regions=regions)
    assert [cut.shard_of(StreamId(s)) for s in range(6)] == [0, 0, 1, 1, 2, 2]
    assert str(Cut(shards=3)) == "3 shards in 1 region"
    assert str(cut) == "3 shards in 2 regions of 2+3 nodes"


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, np.complex64])
def test_other_precisions_are_refused_by_name(dtype: type) -> None:
    arrays = arrays_of(fine=np.ones(2, dtype=np.float32), coarse=np.ones(2, dtype=dtype))
    with pytest.raises(ConfigError, match=f"array coarse is {np.dtype(dtype)}"):
        first_record(arrays, life=1)


def test_a_model_that_cannot_travel_is_refused() -> None:
    with pytest.raises(ConfigError, match="0 floating-point values"):
        first_record(arrays_of(count=np.arange(3)), life=1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_broken_model_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="NaN or infinite"):
        first_record(arrays_of(w=np.array([0, value], dtype=np.float32)), life=1)


def test_a_scalar_travels() -> None:
    record = first_record(arrays_of(scale=np.array(2.0, dtype=np.float32)), life=1)
    assert to_arrays(record, record.model)["scale"].numpy().shape == ()
