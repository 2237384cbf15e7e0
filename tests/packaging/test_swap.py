"""The promise of the README: from FedAvg to DIGEST in a few lines."""

from __future__ import annotations

from difflib import SequenceMatcher
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
BEFORE = EXAMPLES / "quickstart-digits-fedavg" / "quickstart_digits"
AFTER = EXAMPLES / "quickstart-digits" / "quickstart_digits"


def changed_lines(before: Path, after: Path) -> int:
    old, new = (path.read_text(encoding="utf-8").splitlines() for path in (before, after))
    opcodes = SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes()
    return sum(max(i2 - i1, j2 - j1) for tag, i1, i2, j1, j2 in opcodes if tag != "equal")


def test_both_apps_have_the_same_files() -> None:
    before, after = ({path.name for path in app.glob("*.py")} for app in (BEFORE, AFTER))
    assert before == after


def test_the_swap_takes_at_most_ten_lines() -> None:
    changed = {path.name: changed_lines(path, AFTER / path.name) for path in BEFORE.glob("*.py")}
    assert sum(changed.values()) <= 10, changed
