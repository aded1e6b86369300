"""The TypeScript client's pure part over the vectors that all clients share, in Node."""

import os
import subprocess
from pathlib import Path

import pytest

from harness.components import TYPESCRIPT
from harness.typescript import build

pytestmark = pytest.mark.needs("node", "typescript")

TIMEOUT_S = 100


def test_vectors(tmp_path: Path) -> None:
    done = subprocess.run(
        # Not the folder: from Node 22 on that would be the name of a module. TAP in any version.
        [
            "node",
            "--test",
            "--test-reporter=tap",
            *sorted(map(str, TYPESCRIPT.glob("test/*.test.js"))),
        ],
        cwd=TYPESCRIPT,
        env={**os.environ, "TOKENFERRY_DIST": str(build(tmp_path))},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "# fail 0" in done.stdout
