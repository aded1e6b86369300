"""The pages' own tests, in Node, and what the built files may weigh."""

import re
import subprocess

import pytest

from harness.components import ROOT, WEB

pytestmark = pytest.mark.needs("node", "web")

BUILT = ROOT / "src" / "tokenferry" / "server" / "web"
TIMEOUT_S = 100
# What a visitor loads at most, compressed, with every lazy part.
ALL_BYTES_MAX = 200_000


def test_units() -> None:
    done = subprocess.run(
        ["node", "node_modules/vitest/vitest.mjs", "run", "--reporter=verbose"],
        cwd=WEB,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_all_files_together_are_small() -> None:
    files = [
        path for path in BUILT.rglob("*") if path.is_file() and path.suffix in (".br", ".html")
    ]
    assert any(path.suffix == ".br" for path in files)
    assert sum(path.stat().st_size for path in files) < ALL_BYTES_MAX


def test_scripts_load_nothing_from_elsewhere_and_write_no_html() -> None:
    for path in (WEB / "src").rglob("*.ts*"):
        script = path.read_text("utf-8")
        for forbidden in ("dangerouslySetInnerHTML", "innerHTML", "document.write", "eval("):
            assert forbidden not in script, path


def test_korean_texts_leave_no_particle_open() -> None:
    texts = [path for path in (WEB / "src").rglob("*.ts*") if "const ko" in path.read_text("utf-8")]
    assert texts
    for path in texts:
        assert not re.search(r"이\(가\)|을\(를\)|은\(는\)|와\(과\)", path.read_text("utf-8")), path
