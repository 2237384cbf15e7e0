"""Layouts: equal ones have one fingerprint, and different ones say where they differ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_digest.core.layout import MOST_VALUES, Entry, Layout
from flwr_digest.errors import ConfigError

LAYOUT = Layout((Entry("weight", (3, 4)), Entry("bias", (3,)), Entry("scale", ())))

entries = st.builds(
    Entry, name=st.text(max_size=8), shape=st.lists(st.integers(1, 9), max_size=3).map(tuple)
)
layouts = st.lists(entries, min_size=1, max_size=9, unique_by=lambda entry: entry.name).map(
    lambda rows: Layout(tuple(rows))
)


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        Layout.from_json(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@given(layouts)
def test_a_layout_comes_back_from_json(layout: Layout) -> None:
    back = Layout.from_json(layout.to_json())
    assert back == layout
    assert back.fingerprint == layout.fingerprint
    assert back.difference(layout) == ""


@given(layouts, layouts)
def test_fingerprints_are_equal_exactly_for_equal_layouts(one: Layout, other: Layout) -> None:
    assert (one.fingerprint == other.fingerprint) == (one == other)
    assert (one.difference(other) == "") == (one == other)


def test_the_parts_fill_the_vector_in_order() -> None:
    assert LAYOUT.size == 16
    assert [(entry.name, part) for entry, part in LAYOUT.parts()] == [
        ("weight", slice(0, 12)),
        ("bias", slice(12, 15)),
        ("scale", slice(15, 16)),
    ]


def test_fingerprints_are_those_of_other_machines_too() -> None:
    assert (
        LAYOUT.fingerprint
        == Layout.from_json('[["weight", [3, 4]], ["bias", [3]], ["scale", []]]').fingerprint
    )
    assert len(LAYOUT.fingerprint) == 32


@pytest.mark.parametrize(
    "other",
    [
        Layout((Entry("weight", (4, 3)), Entry("bias", (3,)), Entry("scale", ()))),
        Layout((Entry("bias", (3,)), Entry("weight", (3, 4)), Entry("scale", ()))),
        Layout((Entry("weights", (3, 4)), Entry("bias", (3,)), Entry("scale", ()))),
        Layout((Entry("weight", (12,)), Entry("bias", (3,)), Entry("scale", (1,)))),
    ],
)
def test_name_shape_and_order_count_even_where_the_size_is_the_same(other: Layout) -> None:
    assert other.size == LAYOUT.size
    assert other.fingerprint != LAYOUT.fingerprint


def test_differences_are_told_in_words() -> None:
    shorter = Layout(LAYOUT.entries[:2])
    other = Layout((Entry("weight", (4, 3)),))
    assert LAYOUT.difference(other) == "weight[3,4] here is weight[4,3] there"
    assert LAYOUT.difference(shorter) == "scale[] is only here"
    assert shorter.difference(LAYOUT) == "scale[] is only there"


def test_a_layout_in_words_is_short() -> None:
    assert str(LAYOUT) == (
        f"16 values in weight[3,4], bias[3], scale[] (layout {LAYOUT.fingerprint[:8]})"
    )
    long = Layout(tuple(Entry(f"layer-{n}", (2,)) for n in range(8)))
    assert ", layer-5[2] and 2 more (layout " in str(long)
    assert "layer-6" not in str(long)


def test_a_name_twice_is_refused() -> None:
    assert refusal('[["b", [1]], ["a", [1]], ["b", [2]], ["a", [2]]]') == (
        "the model has several arrays named ['a', 'b']"
    )


@pytest.mark.parametrize(
    ("text", "size"), [("[]", 0), ('[["a", [0, 5]]]', 0), ('[["a", [65536, 32769]]]', 2147549184)]
)
def test_an_empty_or_a_monstrous_model_is_refused(text: str, size: int) -> None:
    assert refusal(text) == (
        f"the model has {size} floating-point values; 1 to {MOST_VALUES} are allowed"
    )


@pytest.mark.parametrize(
    "text", ["", "x", "1", "null", "[1]", '[["a"]]', '[["a", "b"]]', '[["a", 1]]']
)
def test_other_text_is_refused(text: str) -> None:
    assert refusal(text).startswith("not a model layout: ")
