"""Refusals are one line that names the field and says what is allowed."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from flwr_digest.errors import ConfigError
from flwr_digest.learning.checks import (
    Range,
    check_name,
    check_number,
    check_numbers,
    check_switch,
    check_text,
)


def refusal(check: Callable[[], None]) -> str:
    with pytest.raises(ConfigError) as caught:
        check()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_an_unknown_name_is_told_the_nearest() -> None:
    text = refusal(lambda: check_name("color", "gren", {"green", "blue"}))
    assert text == "color='gren' is unknown: choose from ['blue', 'green']; did you mean 'green'?"


@pytest.mark.parametrize("name", ["xyz", 3, None, ["green"]])
def test_what_is_near_no_name_is_told_all(name: object) -> None:
    text = refusal(lambda: check_name("color", name, ["green", "blue"]))
    assert text == f"color={name!r} is unknown: choose from ['blue', 'green']"


def test_a_known_name_is_allowed() -> None:
    check_name("color", "green", ["green", "blue"])


@pytest.mark.parametrize(
    ("allowed", "words"),
    [
        (Range(), "a number"),
        (Range(above=0), "a number above 0"),
        (Range(least=0, below=1), "a number of 0 or more and below 1"),
        (Range(whole=True, least=1), "a whole number of 1 or more"),
    ],
)
def test_a_range_says_itself_in_words(allowed: Range, words: str) -> None:
    assert str(allowed) == words
    assert refusal(lambda: check_number("size", math.nan, allowed)) == (
        f"size is nan: it must be {words}"
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "1", None, True, [1], 1j])
def test_only_finite_numbers_are_numbers(value: object) -> None:
    assert value not in Range()


@pytest.mark.parametrize("value", [1.0, "1", True, math.nan])
def test_only_integers_are_whole_numbers(value: object) -> None:
    assert value not in Range(whole=True)


def test_the_ends_of_a_range_are_as_they_are_called() -> None:
    assert 0 not in Range(above=0)
    assert 1e-9 in Range(above=0)
    assert 0 in Range(least=0, below=1)
    assert 1 not in Range(least=0, below=1)
    assert -1 not in Range(least=0)


def test_a_number_in_quotes_is_shown_as_such() -> None:
    text = refusal(lambda: check_number("size", "3", Range()))
    assert text == "size is '3': it must be a number"


@pytest.mark.parametrize("value", [(), 0.1, [0.1], "0.1"])
def test_numbers_are_an_array_that_is_not_empty(value: object) -> None:
    text = refusal(lambda: check_numbers("targets", value, Range()))
    assert text == f"targets is {value!r}: it must be an array of at least one number"


def test_each_of_several_numbers_must_be_in_the_range() -> None:
    check_numbers("targets", (1, 2.5), Range(above=0))
    text = refusal(lambda: check_numbers("targets", (1, -2), Range(above=0)))
    assert text == "targets is -2: it must be a number above 0"


@pytest.mark.parametrize("value", ["", "  ", 3, None])
def test_a_text_is_not_empty(value: object) -> None:
    text = refusal(lambda: check_text("name", value))
    assert text == f"name is {value!r}: it must be a text that is not empty"
    check_text("name", "a")


@pytest.mark.parametrize("value", [0, 1, "true", None])
def test_a_switch_is_true_or_false(value: object) -> None:
    text = refusal(lambda: check_switch("with_state", value))
    assert text == f"with_state is {value!r}: it must be true or false"
    check_switch("with_state", False)
