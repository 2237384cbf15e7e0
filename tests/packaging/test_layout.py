from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINKED = ["clients", "strategies"]


def setuptools_config() -> dict[str, object]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    config: dict[str, object] = project["tool"]["setuptools"]
    return config


def packages_in_tree() -> list[str]:
    found = []
    # The symlinks are followed: a package under strategies/ or clients/ counts, too.
    for folder, _, files in os.walk(ROOT / "flwr_digest", followlinks=True):
        if "__init__.py" in files:
            found.append(".".join(Path(folder).relative_to(ROOT).parts))
    return sorted(found)


def test_the_package_list_equals_the_folders() -> None:
    assert setuptools_config()["packages"] == packages_in_tree()


def test_every_folder_with_code_is_a_package() -> None:
    modules = (ROOT / "flwr_digest").glob("**/*.py")
    assert [each for each in modules if not (each.parent / "__init__.py").exists()] == []


@pytest.mark.parametrize("name", LINKED)
def test_the_symlinks_are_relative(name: str) -> None:
    assert os.readlink(ROOT / "flwr_digest" / name) == f"../{name}"


@pytest.mark.parametrize("name", LINKED)
def test_there_is_no_second_copy_of_a_package(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode != 0
    assert f"flwr_digest.{name}" in done.stderr


@pytest.mark.packaging
def test_the_editable_install_reaches_all_packages(tmp_path: Path) -> None:
    names = packages_in_tree()
    script = f"import importlib\nfor n in {names!r}: print(importlib.import_module(n).__file__)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    folders = [Path(line).resolve().parent for line in done.stdout.split()]
    assert folders == [(ROOT / name.replace(".", "/")).resolve() for name in names]
