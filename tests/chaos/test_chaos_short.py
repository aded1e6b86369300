"""The short chaos run: connections cut, the gateway killed, and nothing lost."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUN_WAIT_S = 100
CUTS = 100


def test_nothing_is_lost() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "chaos.run", "--short"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=RUN_WAIT_S,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    counts = {
        match[1]: int(match[2].replace(",", ""))
        for match in re.finditer(r"^([a-z_ ]+?) +([\d,]+)(?: |$)", made.stdout, re.MULTILINE)
    }
    # It found nothing wrong, and there was something to be found.
    assert counts["connections cut"] >= CUTS
    assert counts["resumes"] >= CUTS // 4
    assert counts["completed"] > 0
    assert counts["streams charged"] >= counts["completed"]
    assert counts["lost"] == counts["wrong bytes"] == counts["wrong charges"] == 0
