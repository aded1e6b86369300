"""Runs Autobahn's fuzzing client against the echo server and judges the report: `make autobahn`.

The client is the newest release (25.10.1), which still is a program for CPython 2.7. Compression
(cases 12 and 13) is left out, since the gateway never negotiates it.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import summary

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "autobahn"
REQUIREMENTS = HERE / "requirements-python27.txt"
AGENT = "tokenferry"
PORT = 9077
RUN_TIMEOUT_S = 900
# `zope.interface` is a namespace package: only addsitedir reads the file that joins it together.
CLIENT = (
    "import site; site.addsitedir({packages!r}); from autobahntestsuite.wstest import run; run()"
)


def find_python2() -> str:
    """Return a CPython 2.7 that runs: on the path, or among pyenv's versions."""
    versions = sorted((Path.home() / ".pyenv" / "versions").glob("2.7*/bin/python2.7"))
    for candidate in ("python2.7", *map(str, versions)):
        # pyenv puts a `python2.7` on the path that only says that none was chosen.
        if (path := shutil.which(candidate)) and not subprocess.call(
            [path, "-c", "import pip"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ):
            return path
    raise SystemExit(
        "The fuzzing client needs CPython 2.7 with pip, and none was found. Install one, such as"
        " `pyenv install 2.7.18`, and name it: make autobahn PYTHON2=/path/to/python2.7"
    )


def install(python2: str) -> Path:
    """Install the client unless that very list is installed; return its directory."""
    packages, stamp = BUILD / "packages", BUILD / "installed.txt"
    if not stamp.exists() or stamp.read_text() != REQUIREMENTS.read_text():
        shutil.rmtree(packages, ignore_errors=True)
        command = [python2, "-W", "ignore", "-m", "pip", "--disable-pip-version-check", "install"]
        command += ["--quiet", "--no-deps", "--require-hashes", "--target", str(packages)]
        subprocess.run([*command, "-r", str(REQUIREMENTS)], check=True)
        stamp.write_text(REQUIREMENTS.read_text())
    return packages


def fuzz(python2: str, packages: Path) -> Path:
    """Run all cases, about two minutes; return the report's index."""
    report = BUILD / "report"
    shutil.rmtree(report, ignore_errors=True)
    servers = [{"agent": AGENT, "url": f"ws://127.0.0.1:{PORT}/v1/stream"}]
    specification = BUILD / "specification.json"
    specification.write_text(
        json.dumps(
            {
                "outdir": str(report),
                "servers": servers,
                "cases": ["*"],
                "exclude-cases": ["12.*", "13.*"],
                "exclude-agent-cases": {},
            }
        )
    )
    client = [python2, "-W", "ignore", "-c", CLIENT.format(packages=str(packages))]
    with (BUILD / "client.log").open("w") as log:
        subprocess.run(
            [*client, "-m", "fuzzingclient", "-s", str(specification)],
            check=True,
            cwd=BUILD,
            stdout=log,
            stderr=log,
            timeout=RUN_TIMEOUT_S,
        )
    return report / "index.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python2", default="")
    python2 = parser.parse_args().python2 or find_python2()
    BUILD.mkdir(parents=True, exist_ok=True)
    packages = install(python2)
    command = [sys.executable, str(HERE / "echo_server.py"), str(PORT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        try:
            if not server.stdout or server.stdout.readline() != b"ready\n":
                raise SystemExit(f"the echo server did not start; is port {PORT} in use?")
            cases = summary.read(fuzz(python2, packages), AGENT)
        finally:
            server.terminate()
    print(f"Autobahn: {len(cases)} cases: {summary.counts(cases)}.")
    for number, reason in summary.ALLOWED.items():
        print(f"Allowed: {number}: {reason}")
    print(f"Report: {BUILD / 'report' / 'index.html'}")
    if found := summary.faults(cases):
        raise SystemExit("\n".join(found))


if __name__ == "__main__":
    main()
