"""The set-up on machines that are not as it would like them: each gets a remedy and no rubbish."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "tools" / "make-venv"
REAL = sys.executable


@pytest.fixture
def fake_python(tmp_path: Path):
    """Make a `python` that does as the shell lines say, and otherwise as the real one."""

    def make(*lines: str, name: str = "fake-python") -> str:
        path = tmp_path / name
        path.write_text("\n".join(["#!/bin/sh", *lines, f'exec "{REAL}" "$@"', ""]))
        path.chmod(0o755)
        return str(path)

    return make


def run(python: str, venv: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(SCRIPT), python, str(venv)]
    env = os.environ | environment
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_python_is_not_there(tmp_path: Path) -> None:
    done = run("no-such-python", tmp_path / "venv")
    assert done.returncode == 1
    assert "no-such-python was not found" in done.stderr
    assert "make setup PYTHON=" in done.stderr


def test_python_is_too_old(tmp_path: Path, fake_python) -> None:
    old = fake_python('case "$*" in *python_version*) echo 3.10.4; exit;; *3,*11*) exit 1;; esac')
    done = run(old, tmp_path / "venv")
    assert done.returncode == 1
    assert "is Python 3.10.4. Tokenferry needs Python 3.11 or newer." in done.stderr
    assert not (tmp_path / "venv").exists()


def test_debian_without_the_venv_package(tmp_path: Path, fake_python) -> None:
    debian = fake_python(
        'case "$*" in *python_version*) echo 3.11.2; exit;; *ensurepip*) exit 1;; esac'
    )
    done = run(debian, tmp_path / "venv")
    assert done.returncode == 1
    assert "sudo apt-get install python3.11-venv\n" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_half_made_environment_is_removed(tmp_path: Path, fake_python) -> None:
    broken = fake_python('if [ "$2" = venv ]; then mkdir "$3"; touch "$3/pyvenv.cfg"; exit 1; fi')
    done = run(broken, tmp_path / "venv")
    assert done.returncode == 1
    assert "could not make a virtual environment" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_broken_environment_is_made_anew(tmp_path: Path, fake_python) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").touch()
    (venv / "bin" / "python").symlink_to("/nowhere/python3.11")
    quick = fake_python('if [ "$2" = venv ]; then mkdir "$3"; touch "$3/new"; exit; fi')
    done = run(quick, venv)
    assert done.returncode == 0, done.stderr
    assert "does not work any more" in done.stdout
    assert (venv / "new").exists()


def test_what_is_no_environment_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "venv" / "precious.txt"
    precious.parent.mkdir()
    precious.touch()
    done = run(REAL, precious.parent)
    assert done.returncode == 1
    assert "is not a virtual environment" in done.stderr
    assert precious.exists()


def test_a_working_environment_is_kept(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    python = venv / "bin" / "python"
    python.write_text("#!/bin/sh\nexit 0\n")
    python.chmod(0o755)
    done = run(REAL, venv)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert python.exists()


# What a Python says of itself: where it is at home, and how it was configured.
SLOW = "/home/me/.pyenv/versions/3.11.7 '--enable-shared'"
FAST = "/opt/python '--enable-optimizations' '--with-lto'"
DEBIAN = "/usr '--enable-shared'"
MADE = 'if [ "$2" = venv ]; then mkdir "$3"; echo "by $0"; exit; fi'


@pytest.mark.parametrize(
    ("first", "system", "chosen"),
    [
        (SLOW, "", "system"),
        (FAST, "", "python3"),
        (DEBIAN, "", "python3"),
        (SLOW, "case $* in *ensurepip*) exit 1;; esac", "python3"),
    ],
)
def test_a_slow_build_gives_way_to_the_system_s_python(
    tmp_path: Path, fake_python, first: str, system: str, chosen: str
) -> None:
    tells = f'case "$*" in *CONFIG_ARGS*) echo "{first}"; exit;; esac'
    fake_python(tells, MADE, name="python3")
    other = fake_python(system, MADE, name="system")
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = run("", tmp_path / "venv", PATH=path, SYSTEM_PYTHON=other)
    assert done.returncode == 0, done.stderr
    assert f"by {tmp_path}/{chosen}\n" in done.stdout


def test_a_python_that_is_named_is_taken_as_it_is(tmp_path: Path, fake_python) -> None:
    tells = f'case "$*" in *CONFIG_ARGS*) echo "{SLOW}"; exit;; esac'
    named = fake_python(tells, MADE)
    done = run(named, tmp_path / "venv")
    assert f"by {named}\n" in done.stdout
