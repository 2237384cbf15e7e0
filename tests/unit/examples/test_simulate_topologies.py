"""The script that compares topologies, run as a user would."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "simulate-topologies"
SCRIPT = EXAMPLE / "simulate_topologies.py"
MOST_SECONDS = 600.0  # past that something hangs: it takes seconds
TOPOLOGIES = {"path", "ring", "star", "grid", "small-world", "random-regular", "complete"}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS,
        check=False,
    )


def test_a_quick_run_compares_all_topologies_and_draws_a_chart(tmp_path: Path) -> None:
    done = run(tmp_path, "--quick")

    assert (done.returncode, done.stderr) == (0, "")
    rows = re.findall(r"^│ ([\w-]+) +│ +(\d+) │ +(0\.\d+) │", done.stdout, flags=re.MULTILINE)
    assert {name for name, _, _ in rows} == TOPOLOGIES
    links = {name: int(count) for name, count, _ in rows}
    assert (links["path"], links["ring"], links["complete"]) == (15, 16, 120)
    chart = (tmp_path / "topologies.svg").read_text(encoding="utf-8")
    assert all(f">{name}<" in chart for name in TOPOLOGIES)


def test_an_unknown_topology_is_refused_in_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, "--quick", "rign")

    assert done.returncode == 1
    assert re.fullmatch(
        r"error: topology='rign' is unknown: .*did you mean 'ring'\?\n", done.stderr
    )
    assert list(tmp_path.iterdir()) == []


def test_the_readme_tells_of_the_files_that_there_are() -> None:
    text = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^[├└]── (\S+)", text, flags=re.MULTILINE))
    assert told == {path.name for path in EXAMPLE.iterdir() if path.suffix in (".py", ".md")}
