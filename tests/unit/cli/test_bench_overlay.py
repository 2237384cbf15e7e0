"""`flwr-digest bench relay`, `tour` and `training`, small."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.conftest import Command


@pytest.mark.slow
def test_relay_has_a_row_for_each_size_with_and_without_tls(command: Command) -> None:
    ended = command("bench", "relay", "--sizes", "40,400000", "--repeats", "1", "--json")
    document = json.loads(ended.out)

    assert ended.code == 0
    assert list(document) == ["results"]
    rows = [(each["bytes"], each["security"]) for each in document["results"]]
    assert rows == [(40, "insecure"), (40, "mtls"), (400_000, "insecure"), (400_000, "mtls")]
    for each in document["results"]:
        for name in ("p50_ms", "over_raw_tcp", "over_naive"):
            assert each[name] > 0
        assert each["cpu_seconds_per_gb"] >= 0  # of so little it may be less than can be measured
        assert each["p50_ms_spread"]["low"] <= each["p50_ms"] <= each["p50_ms_spread"]["high"]


def test_tour_tells_tours_and_control_bytes(command: Command) -> None:
    small = ("--size", "4000", "--shards", "1,8", "--seconds", "0.1", "--repeats", "1")
    ended = command("bench", "tour", *small, "--json")
    document = json.loads(ended.out)

    assert ended.code == 0
    assert [each["shards"] for each in document["results"]] == [1, 8]
    assert [each["bytes"] for each in document["control"]] == [10_000, 1_100_000]
    shares = [each["control_share"] for each in document["control"]]
    assert shares[0] < 0.05
    assert shares[1] < 0.005


@pytest.mark.slow
def test_training_has_a_row_for_each_loop_and_rate(command: Command) -> None:
    pytest.importorskip("torch")
    ended = command("bench", "training", "--rates", "5", "--seconds", "0.1", "--repeats", "1")

    assert ended.code == 0
    assert "Local steps beside a stream" in ended.out
    assert "resnet-20" in ended.out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("relay", "--sizes", "42"), "--sizes is 42: it must be a multiple of 4"),
        (("relay", "--sizes", "x"), "--sizes is 'x': it must be a whole number of 1 or more"),
        (("relay", "--repeats", "0"), "--repeats is 0: it must be a whole number of 1 or more"),
        (("tour", "--seconds", "nan"), "--seconds is nan: it must be a number above 0"),
        (("tour", "--size", "42"), "--size is 42: it must be a multiple of 4"),
        (("tour", "--size", "40", "--shards", "11"), "--shards is 11"),
        (("training", "--rates", "0"), "--rates is 0: it must be a whole number of 1 or more"),
        (("training", "--seconds", "-1"), "--seconds is -1.0: it must be a number above 0"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_in_one_line(
    command: Command, words: tuple[str, ...], reason: str
) -> None:
    if words[0] == "training":
        pytest.importorskip("torch")
    ended = command("bench", *words)

    assert ended.code == 2
    assert not ended.out
    assert ended.err.startswith(f"flwr-digest: {reason}")
    assert ended.err.count("\n") == 1
