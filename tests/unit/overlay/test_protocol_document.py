"""PROTOCOL.md names what the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flwr_digest import overlay
from flwr_digest.core.plan import PROTOCOL_VERSION
from flwr_digest.overlay.channel import METHOD, SERVICE
from flwr_digest.overlay.fields import Kind

TEXT = (Path(overlay.__file__).parent / "PROTOCOL.md").read_text(encoding="utf-8")


def test_it_is_of_this_version() -> None:
    assert f"protocol, version {PROTOCOL_VERSION}\n" in TEXT
    assert f"/{SERVICE}/{METHOD}" in TEXT


def test_it_has_each_kind_of_frame_and_no_other() -> None:
    named = re.findall(r"^\| (\d+) \| ([A-Z]+) \|", TEXT, flags=re.MULTILINE)
    assert {(int(value), name) for value, name in named} == {(k.value, k.name) for k in Kind}


@pytest.mark.parametrize("file", re.findall(r"\]\((\w+\.py)\)", TEXT))
def test_the_code_that_it_points_to_is_there(file: str) -> None:
    assert (Path(overlay.__file__).parent / file).is_file()
