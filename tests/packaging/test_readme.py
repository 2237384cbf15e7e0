"""The README says only what is true: its commands, its options, its swap and its links."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from flwr_digest.cli.app import main
from flwr_digest.strategies import Digest
from flwr_digest.strategies.digest import REPLY_IN_TIME

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
READMES = [ROOT / "README.md", *sorted(ROOT.glob("examples/*/README.md"))]


def test_its_make_targets_exist() -> None:
    targets = set(re.findall(r"^make (\w+)", README, flags=re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets == {"demo", "test"}
    assert COMMANDS
    assert FILES
    assert targets <= set(re.findall(r"^(\w+):", makefile, flags=re.MULTILINE))


def test_its_options_are_those_of_the_strategy() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", README, flags=re.MULTILINE))
    parameters = inspect.signature(Digest.__init__).parameters.values()
    own = {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    assert set(rows) == set(own)
    found = {"session_seconds": f"{REPLY_IN_TIME} x timeout", "steps_per_round": "the client's own"}
    for name, default in own.items():
        computed = found[name] if default is None else str(default)
        assert re.sub('[`"]', "", rows[name]) == computed


COMMANDS = re.findall(r"^flwr-digest (.+)$", README, flags=re.MULTILINE)
FILES = re.findall(r"^```toml\n# (\w+\.toml): .+\n((?:.*\n)*?)```", README, flags=re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_run(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in FILES:
        (tmp_path / name).write_text(content, encoding="utf-8")
    short = ["--steps", "5"] if command.split()[0] in {"simulate", "compare"} else []
    assert main([*command.split(), *short]) == 0


@pytest.mark.parametrize("file", ["server_app.py", "client_app.py"])
def test_its_swap_is_that_of_the_example(file: str) -> None:
    app = ROOT / "examples" / "quickstart-digits" / "quickstart_digits" / file
    after = {line.strip() for line in app.read_text(encoding="utf-8").splitlines()}
    section = README.partition(f"# {file}")[2].partition("\n\n")[0].partition("```")[0]
    added = [
        line[1:].partition("  #")[0].strip() for line in section.splitlines() if line[:1] == "+"
    ]
    assert added
    for line in added:
        shown = line if "Digest(" not in line else "strategy = Digest("
        assert shown in after, line


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)
def test_its_links_lead_somewhere(readme: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", readme.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (readme.parent / target).exists(), target
