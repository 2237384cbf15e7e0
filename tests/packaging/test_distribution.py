"""What we publish, seen from outside: built, installed into an empty environment, and used."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.packaging, pytest.mark.slow]

IMPORT_ALL = """
import importlib, pkgutil, flwr_digest
names = [each.name for each in pkgutil.walk_packages(flwr_digest.__path__, "flwr_digest.")]
for name in ["flwr_digest", *names]:
    print(name, importlib.import_module(name).__file__)
"""

WELL_TYPED = """
from flwr_digest.launch import RunOutcome, simulation_of

def nodes(outcome: RunOutcome) -> int:
    return simulation_of(len(outcome.run_id))["num-supernodes"]
"""

ILL_TYPED = """
from flwr_digest.launch import simulation_of

nodes: str = simulation_of(8)["num-supernodes"]
"""


@dataclass(frozen=True, kw_only=True)
class Distribution:
    sdist: Path
    wheel: Path


@pytest.fixture(scope="session")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Distribution:
    out = tmp_path_factory.mktemp("dist")
    # The wheel is built from the sdist, so the sdist is complete, too. Without isolation, as an
    # isolated build would download the build system.
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT))
    [sdist], [wheel] = out.glob("*.tar.gz"), out.glob("*.whl")
    return Distribution(sdist=sdist, wheel=wheel)


@pytest.fixture(scope="session")
def outside(distribution: Distribution, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has our wheel, and the dependencies of this one.

    A `.pth` file lends it the installed dependencies, which would take minutes to install again.
    Path files in a lent folder are not read, so the editable install of this environment does not
    come along: what is imported as `flwr_digest` can only be the wheel.
    """
    folder = tmp_path_factory.mktemp("outside")
    call(sys.executable, "-m", "venv", "--without-pip", str(folder))
    python = folder / "bin" / "python"
    call(
        *(sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"),
        *("install", "--quiet", "--no-deps", "--no-index", str(distribution.wheel)),
    )
    [site_packages] = folder.glob("lib/python*/site-packages")
    (site_packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def call(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def modules_in_tree() -> set[str]:
    folders = {"flwr_digest": ROOT / "flwr_digest"}
    folders |= {f"flwr_digest/{name}": ROOT / name for name in ("clients", "strategies")}
    return {
        f"{name}/{path.relative_to(folder).as_posix()}"
        for name, folder in folders.items()
        for path in folder.rglob("*.py")
    }


def test_the_wheel_holds_our_modules_and_nothing_else(distribution: Distribution) -> None:
    with zipfile.ZipFile(distribution.wheel) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        licenses = [name for name in wheel.namelist() if name.endswith("licenses/LICENSE")]

    assert names == modules_in_tree() | {"flwr_digest/py.typed"}
    assert len(licenses) == 1


def test_the_sdist_holds_each_module_once(distribution: Distribution) -> None:
    with tarfile.open(distribution.sdist) as sdist:
        names = [name.partition("/")[2] for name in sdist.getnames()]

    for name in ("clients", "strategies"):
        assert f"{name}/__init__.py" in names
        assert not any(each.startswith(f"flwr_digest/{name}") for each in names)


def test_all_modules_can_be_imported(outside: Path, tmp_path: Path) -> None:
    imported = call(str(outside), "-I", "-c", IMPORT_ALL, cwd=tmp_path)

    found = dict(line.split() for line in imported.splitlines())
    assert len(found) == len(modules_in_tree())
    assert [path for path in found.values() if not path.startswith(str(outside.parents[1]))] == []


def test_users_get_our_types(outside: Path, tmp_path: Path) -> None:
    (tmp_path / "well.py").write_text(WELL_TYPED)
    (tmp_path / "ill.py").write_text(ILL_TYPED)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(outside)]

    call(*mypy, "well.py", cwd=tmp_path)

    refused = subprocess.run(
        [*mypy, "ill.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert "Incompatible types in assignment" in refused.stdout
