"""How methods are written on the command line."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from flwr_digest.cli.notation import (
    READERS,
    TAKES,
    Value,
    parse_methods,
    parse_one,
    with_options,
)
from flwr_digest.errors import ConfigError
from flwr_digest.sim.methods import METHODS, Settings


def labels(*texts: str) -> list[str]:
    return [choice.label for choice in parse_methods(texts)]


def refusal(*texts: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_methods(texts)
    return str(caught.value)


def optioned(text: str, options: Mapping[str, Value | None]) -> list[str]:
    return [choice.label for choice in with_options(parse_methods([text]), options)]


@pytest.mark.parametrize("name", METHODS)
def test_a_bare_name_is_the_method_with_its_defaults(name: str) -> None:
    choice = parse_one(name)

    assert (choice.method, choice.settings) == (name, Settings())


def test_every_key_sets_its_field() -> None:
    digest = parse_one(
        "digest:learning-rate=0.1,local-steps=7,shards=4,regions=3,drift-correction,"
        "walk=random,no-gate"
    )
    scaffold = parse_one("scaffold:server=as-node")

    assert digest.settings == Settings(
        learning_rate=0.1,
        local_steps=7,
        shards=4,
        regions=3,
        drift_correction=True,
        walk="random",
        gate=False,
    )
    assert scaffold.settings == Settings(server="as-node")


def test_every_key_that_a_method_takes_can_be_read() -> None:
    assert {key for keys in TAKES.values() for key in keys} == set(READERS)


def test_switches_may_also_be_said_in_full() -> None:
    assert parse_one("digest:gate=false,drift-correction=true").settings == Settings(
        gate=False, drift_correction=True
    )


def test_what_is_no_method_after_a_comma_is_a_setting_of_the_method_before() -> None:
    assert labels("digest,digest:shards=16, drift-correction ,fedavg", "d-psgd") == [
        "digest",
        "digest, shards=16, drift-correction",
        "fedavg",
        "d-psgd",
    ]


def test_a_label_says_what_was_asked_for_and_nothing_else() -> None:
    assert labels("digest:no-gate,learning-rate=1.0,walk=random") == [
        "digest, no-gate, learning-rate=1, walk=random"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fedagv", "method='fedagv' is unknown: choose from "),
        ("fedagv", "; did you mean 'fedavg'?"),
        ("digest,fedagv", "method='fedagv' is unknown"),
        ("gossip", "; gossip is ad-psgd or d-psgd"),
        ("digest,shards=4", "; settings follow a method after a colon: digest:shards=4"),
        ("digest,no-gate", "; settings follow a method after a colon: digest:no-gate"),
        ("digest:shards=2,fedagv", "'fedagv' is no setting of it"),
        ("digest:shards=2,fedagv", "; did you mean 'fedavg'?"),
        (
            "fedavg:shards=3",
            "fedavg: 'shards=3' is no setting of it: choose from learning-rate, local-steps, "
            "server",
        ),
        ("digest:shard=3", "; did you mean 'shards'?"),
        ("digest:shards", "digest: shards needs a value, as in shards=..."),
        ("digest:shards=two", "digest: shards='two' must be a whole number, 0 or more"),
        ("digest:shards=-2", "digest: shards='-2' must be a whole number, 0 or more"),
        ("digest:shards=0", "digest: shards is 0: it must be a whole number of 1 or more"),
        ("digest:gate=maybe", "digest: gate='maybe' must be 'true' or 'false'"),
        ("fedavg:learning-rate=nan", "fedavg: learning-rate='nan' must be a number"),
        ("fedavg:learning-rate=inf", "fedavg: learning-rate='inf' must be a number"),
        ("fedavg:learning-rate=-1", "fedavg: learning_rate is -1.0: it must be a number above 0"),
        ("fedavg:server=idle", "; did you mean 'ideal'?"),
        ("digest:shards=2,shards=3", "digest: shards is given twice"),
        ("", "no method is named"),
    ],
)
def test_a_mistake_is_told_in_one_line(text: str, said: str) -> None:
    line = refusal(text)

    assert said in line
    assert "\n" not in line


def test_where_one_method_is_wanted_several_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"names 2 methods: use compare for several$"):
        parse_one("fedavg,d-psgd")


def test_labels_tell_near_learning_rates_apart() -> None:
    first, second = labels("fedavg:learning-rate=0.12345678,fedavg:learning-rate=0.12345679")

    assert first != second


def test_options_go_to_all_methods_that_take_them() -> None:
    assert optioned("digest,fedavg,centralised", {"local_steps": 9, "shards": 2}) == [
        "digest, local-steps=9, shards=2",
        "fedavg, local-steps=9",
        "centralised",
    ]


def test_a_method_s_own_setting_wins_over_an_option() -> None:
    assert optioned("digest:shards=4,digest", {"shards": 2, "walk": None}) == [
        "digest, shards=4",
        "digest, shards=2",
    ]


def test_methods_that_options_make_the_same_are_run_once() -> None:
    assert optioned("digest,digest:drift-correction", {"drift_correction": True}) == [
        "digest, drift-correction"
    ]


@pytest.mark.parametrize("text", ["fedavg", "fedavg,digest:shards=4"])
def test_an_option_that_changes_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--shards applies to none of the methods: fedavg"):
        optioned(text, {"shards": 2})


def test_an_option_that_a_method_refuses_names_the_method() -> None:
    with pytest.raises(ConfigError, match=r"^fedavg: learning_rate is nan"):
        optioned("fedavg", {"learning_rate": float("nan")})
