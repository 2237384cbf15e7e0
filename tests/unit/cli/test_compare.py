"""Real, small comparisons, from the words of the command to its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flwr_digest.sim.methods import METHODS
from tests.unit.cli.conftest import Command

KEYS = {
    "method",
    "shards",
    "regions",
    "drift_correction",
    "seed",
    "gap_mean",
    "gap_worst",
    "gap_of_average",
    "accuracy_mean",
    "accuracy_worst",
    "consensus_distance",
    "staleness_steps",
    "models_sent",
    "bytes_sent",
    "idle_share",
    "local_steps",
    "learning_rate",
    "time_to",
    "bytes_to",
}


def results_of(text: str) -> list[dict[str, Any]]:
    document = json.loads(text)
    assert list(document) == ["results"]
    results: list[dict[str, Any]] = document["results"]
    return results


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_json_has_an_entry_for_each_method_and_seed(small: str, command: Command) -> None:
    methods = "digest,digest:shards=2,drift-correction,fedavg:local-steps=3"
    ended = command(
        "compare", "--scenario", small, "--methods", methods, "--seeds", "5,6", "--json"
    )
    results = results_of(ended.out)

    assert ended.code == 0
    assert [(each["label"], each["seed"]) for each in results] == [
        (label, seed)
        for label in ("digest", "digest, shards=2, drift-correction", "fedavg, local-steps=3")
        for seed in (5, 6)
    ]
    assert all(set(each) >= KEYS for each in results)
    assert [(each["shards"], each["drift_correction"]) for each in results[::2]] == [
        (1, False),
        (2, True),
        (None, False),
    ]
    assert list(results[0]["time_to"]) == list(results[0]["bytes_to"]) == ["0.4", "1e-06"]
    assert results[0]["time_to"]["1e-06"] is None


def test_the_same_seeds_give_the_same_bytes_with_any_number_of_jobs(
    small: str, tmp_path: Path, command: Command
) -> None:
    words = ["compare", "--scenario", small, "--methods", "digest,ad-psgd", "--seeds", "1,2"]
    for jobs in "12":
        out = tmp_path / f"jobs-{jobs}"
        done = [*words, "--jobs", jobs, "--out", str(out), "--trace", str(out / "all.jsonl")]
        assert command(*done).code == 0

    one, two = tmp_path / "jobs-1", tmp_path / "jobs-2"
    assert names(one) == names(two) == ["all.jsonl", "charts.png", "charts.svg", "results.json"]
    for name in names(one):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_files_say_what_stdout_says(small: str, tmp_path: Path, command: Command) -> None:
    out, trace = tmp_path / "out", tmp_path / "trace.jsonl"
    words = ["--methods", "digest:shards=2,fedavg", "--seeds", "1", "--json"]
    ended = command(
        "compare", "--scenario", small, *words, "--out", str(out), "--trace", str(trace)
    )
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    results = results_of(ended.out)

    assert (out / "results.json").read_text() == ended.out
    for label in ("digest, shards=2", "fedavg"):
        assert f">{label}</text>" in (out / "charts.svg").read_text()
    assert [line["time_seconds"] for line in lines] == [8.0, 16.0, 24.0] * 2
    assert lines[0]["settings"]["shards"] == 2
    assert [line["gap_mean"] for line in lines[2::3]] == [each["gap_mean"] for each in results]
    assert {(line["method"], line["seed"]) for line in lines} == {("digest", 1), ("fedavg", 1)}
    assert [line for line in ended.err.splitlines() if line.startswith("wrote ")] == [
        f"wrote {path}"
        for path in (trace, out / "results.json", out / "charts.svg", out / "charts.png")
    ]


def test_the_tables_name_scenario_and_methods(small: str, command: Command) -> None:
    ended = command(
        "compare", "--scenario", small, "--methods", "fedavg,random-walk", "--seeds", "1,2"
    )

    assert ended.code == 0
    assert "small: 4 nodes, 24 local steps, medians over 2 seeds" in ended.out
    for words in ("fedavg", "random-walk", "gap 1e-06", "never"):
        assert words in ended.out
    assert "(4 of 4)" in ended.err


def test_by_default_all_methods_are_compared(small: str, command: Command) -> None:
    ended = command("compare", "--scenario", small, "--seeds", "1", "--json")
    results = results_of(ended.out)

    assert {each["method"] for each in results} == set(METHODS)
    assert [each["drift_correction"] for each in results if each["method"] == "digest"] == [
        False,
        True,
    ]


def test_simulate_takes_settings_from_notation_and_options(small: str, command: Command) -> None:
    words = ["--method", "digest:shards=2", "--local-steps", "3", "--seed", "4", "--steps", "12"]
    ended = command("simulate", "--scenario", small, *words, "--json")
    (result,) = results_of(ended.out)

    assert (result["shards"], result["local_steps"], result["seed"]) == (2, 3, 4)
    assert result["time_seconds"] == 12.0


def test_tuned_methods_run_with_what_suited_them_best(small: str, command: Command) -> None:
    twice = "centralised,centralised:learning-rate=9"  # which tuning makes the same
    words = ["--methods", twice, "--seeds", "1,2", "--tune", "--json"]
    ended = command("compare", "--scenario", small, *words)
    results = results_of(ended.out)

    assert ended.code == 0
    assert [each["seed"] for each in results] == [1, 2]
    assert results[0]["label"] == results[1]["label"]
    assert results[0]["learning_rate"] in (0.25, 0.5, 1.0)
    assert results[0]["label"] == f"centralised, learning-rate={results[0]['learning_rate']:g}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "{tmp}/small.toml"], "--out: {tmp}/small.toml is no folder"),
        (["--trace", "{tmp}"], "--trace: {tmp} is a folder; name a file"),
        (["--out", "{tmp}/o", "--trace", "{tmp}/o/results.json"], "is also a file of --out"),
        (["--regions", "9", "--out", "{tmp}/o"], "regions"),
        (["--scenario", "{tmp}/none.toml", "--out", "{tmp}/o"], "none.toml: "),
    ],
)
def test_after_a_mistake_nothing_has_been_written(
    words: list[str], said: str, small: str, tmp_path: Path, command: Command
) -> None:
    given = [word.format(tmp=tmp_path) for word in words]
    ended = command("simulate", "--scenario", small, *given)

    assert (ended.code, ended.out) == (2, "")
    assert said.format(tmp=tmp_path) in ended.err
    assert ended.err.count("\n") == 1
    assert names(tmp_path) == ["small.toml"]


def test_missing_matplotlib_is_found_before_the_runs(
    small: str, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flwr_digest.report.charts.find_spec", lambda name: None)
    ended = command("simulate", "--scenario", small, "--out", str(tmp_path / "out"))

    assert ended.code == 2
    assert ended.err == (
        "flwr-digest: charts need matplotlib, which is missing: pip install 'flwr-digest[sim]'\n"
    )
