"""A handler must give back what it got, and is told so by both layouts."""

from __future__ import annotations

import numpy as np
import pytest
from flwr.app import ArrayRecord, MetricRecord, RecordDict

from flwr_digest.clients.record import first_record
from flwr_digest.clients.returned import returned_by
from flwr_digest.errors import ConfigError
from tests.support.numpy_app import start

RECORD = first_record(start(), life=1)


def refusal(content: RecordDict) -> str:
    with pytest.raises(ConfigError) as caught:
        returned_by(content, RECORD, "arrays")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_model_is_flat_and_integers_are_apart() -> None:
    arrays = ArrayRecord([np.full((2, 3), 2, np.float32), np.ones(2, np.float32), np.array(9)])
    model, rest = returned_by(RecordDict({"any-name": arrays}), RECORD, "arrays")
    assert model.tolist() == [2] * 6 + [1] * 2
    assert {name: int(value) for name, value in rest.items()} == {"2": 9}


def test_either_float_will_do_as_under_fedavg() -> None:
    model, _ = returned_by(RecordDict({"arrays": start(np.float64)}), RECORD, "arrays")
    assert model.dtype == np.float32
    assert model.tolist() == RECORD.model.tolist()


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ([np.ones((3, 2), np.float32), np.zeros(2, np.float32), np.array(0)], "0[3,2] float"),
        ([np.ones((2, 3), np.float16), np.zeros(2, np.float32), np.array(0)], "0[2,3] float16"),
        ([np.ones((2, 3), np.float32), np.zeros(2, np.float32), np.array([0])], "2[1] int64"),
        ([np.ones((2, 3), np.float32), np.zeros(2, np.float32)], "1[2] float"),
        ([], "no arrays"),
    ],
)
def test_other_arrays_are_refused_and_both_layouts_named(
    arrays: list[np.ndarray], told: str
) -> None:
    line = refusal(RecordDict({"arrays": ArrayRecord(arrays)}))
    assert "it got 0[2,3] float, 1[2] float, 2[] int64; it returned" in line
    assert line.endswith(told) or told in line.partition("it returned")[2]


def test_other_names_are_refused() -> None:
    values = start().to_numpy_ndarrays()
    arrays = ArrayRecord.from_numpy_ndarrays(values)
    renamed = ArrayRecord({f"layer{name}": array for name, array in arrays.items()})
    assert "it returned layer0[2,3] float, layer1" in refusal(RecordDict({"arrays": renamed}))


def test_no_arrays_at_all_say_both_ways_out() -> None:
    line = refusal(RecordDict({"metrics": MetricRecord({"loss": 1.0})}))
    assert "one ArrayRecord, as for FedAvg, or call attach(model, optimizer)" in line
    assert line.endswith("in its reply: none")


def test_of_several_records_the_one_with_the_brokers_name_counts() -> None:
    other = ArrayRecord([np.zeros(5, np.float32)])
    content = RecordDict({"spare": other, "arrays": start()})
    assert returned_by(content, RECORD, "arrays").model.tolist() == RECORD.model.tolist()
    assert refusal(RecordDict({"x": other, "y": other})).endswith("in its reply: x, y")
