"""The command as a whole: help, mistakes, and how it ends."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flwr_digest import __version__
from flwr_digest.cli.app import main
from flwr_digest.sim.scenarios import SCENARIOS
from tests.unit.cli.conftest import Command


def test_without_arguments_it_explains_itself(command: Command) -> None:
    ended = command()

    assert ended.code == 0
    for name in ("simulate", "compare", "scenarios", "bench"):
        assert name in ended.out


def test_it_knows_its_version(command: Command) -> None:
    assert command("--version").out.strip() == __version__


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (
            "simulate",
            "scenario method steps seed tune tune-to jobs shards regions drift-correction walk "
            "local-steps gate learning-rate server json trace out",
        ),
        (
            "compare",
            "scenario methods steps seeds tune tune-to jobs shards regions drift-correction walk "
            "local-steps gate learning-rate server json trace out",
        ),
        ("bench simulator", "nodes steps repeats json"),
    ],
)
def test_help_names_every_option(
    name: str, options: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    ended = command(*name.split(), "--help")

    assert ended.code == 0
    assert {f"--{option}" for option in options.split()} <= set(re.findall(r"--[\w-]+", ended.out))


def test_scenarios_are_listed_with_their_summaries(command: Command) -> None:
    ended = command("scenarios")

    assert ended.code == 0
    for name, scenario in SCENARIOS.items():
        assert re.search(
            rf"^{name} +{scenario.nodes} +{re.escape(scenario.summary)}", ended.out, re.M
        )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("compar", "No such command 'compar'. Did you mean 'compare'? See flwr-digest --help."),
        ("bench", "Missing command. See flwr-digest bench --help."),
        ("simulate -x", "No such option '-x'. See flwr-digest simulate --help."),
        (
            "simulate --jobs x",
            "Invalid value for '--jobs': 'x' is not a valid integer. See flwr-digest simulate "
            "--help.",
        ),
        ("simulate --jobs 0", "--jobs is 0: it must be a whole number of 1 or more"),
        ("simulate --seed -1", "--seed is '-1': it must be a whole number of 0 or more"),
        ("compare --seeds 1,x", "--seeds is 'x': it must be a whole number of 0 or more"),
        ("compare --seeds 1,2,1", "--seeds has 1 twice"),
        ("simulate --steps nan", "steps is nan: it must be a number above 0"),
        ("simulate --tune-to 0.1", "--tune-to needs --tune"),
        ("simulate --tune --tune-to 0", "--tune-to is 0.0: it must be a number above 0"),
        ("simulate --method fedavg --shards 2", "--shards applies to none of the methods: fedavg"),
        ("bench simulator --steps 0", "--steps is 0: it must be a whole number of 1 or more"),
        ("bench simulator --nodes 4,-1", "--nodes is '-1': it must be a whole number of 1 or more"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(words: str, line: str, command: Command) -> None:
    ended = command(*words.split())

    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"flwr-digest: {line}\n"


@pytest.mark.parametrize(
    ("words", "near"),
    [
        ("compare --sheds 4", "--shards"),
        ("compare --methods fedagv", "'fedavg'"),
        ("simulate --scenario digits-iid-17", "'digits-iid-16'"),
        ("simulate --method fedavg --server as-nod", "'as-node'"),
    ],
)
def test_a_misspelled_name_gets_the_nearest(words: str, near: str, command: Command) -> None:
    ended = command(*words.split())

    assert (ended.code, ended.out) == (2, "")
    assert near in ended.err
    assert ended.err.count("\n") == 1


def test_missing_torch_is_one_line_with_the_remedy(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flwr_digest.cli.module_loop.find_spec", lambda name: None)
    ended = command("bench", "simulator")

    assert ended.code == 2
    assert ended.err == (
        "flwr-digest: bench compares with PyTorch, which is missing: "
        "pip install 'flwr-digest[sim,torch]'\n"
    )


def test_the_handling_of_sigterm_is_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    main(["--version"])

    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_without_a_traceback_and_without_files(
    sent: signal.Signals, code: int, small: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    seeds = ",".join(map(str, range(1000)))
    words = ["compare", "--scenario", small, "--methods", "fedavg", "--seeds", seeds]
    words += ["--steps", "480", "--out", str(out)]  # minutes of work, however fast the machine
    script = (
        "import signal, sys; from flwr_digest.cli.app import main;"
        # Whoever runs the tests in the background has it ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler);"
        f"sys.exit(main({words!r}))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            assert "(1 of 1000)" in process.stderr.readline()  # so the workers are at work
            process.send_signal(sent)
            printed, said = process.communicate(timeout=60)
        finally:
            process.kill()  # else it is waited for, minutes

    assert process.returncode == code
    assert printed == ""
    assert "Traceback" not in said
    assert not out.exists()
