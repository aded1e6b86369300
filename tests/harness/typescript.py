"""The TypeScript client, built for a test."""

import subprocess
from pathlib import Path

from harness.components import TYPESCRIPT

BUILD_TIMEOUT_S = 100


def build(directory: Path) -> Path:
    """Compile the client into a directory of the test's own, and return that."""
    done = subprocess.run(
        ["node", "node_modules/typescript/bin/tsc", "--outDir", str(directory)],
        cwd=TYPESCRIPT,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    # Without it, node would take the modules for CommonJS.
    (directory / "package.json").write_text('{"type": "module"}\n', "utf-8")
    return directory
