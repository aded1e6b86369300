"""Starts an installed `tokenferry` with an empty data directory and asks it for one answer.

Used on the built wheel: `python tools/try_install.py PATH/TO/tokenferry`. Uses the standard
library only, so that nothing but the installation under test can make it work.
Weakness: one request; what the gateway can do is tested elsewhere.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

START_TIMEOUT_S = 20
ANSWER_TIMEOUT_S = 60
STOP_TIMEOUT_S = 40


def free_port() -> int:
    """Return a TCP port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def wait_until_ready(server: "subprocess.Popen[bytes]", address: str) -> None:
    """Wait for `/readyz`.

    Raises:
        SystemExit: If the server ended, or was not ready in time.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise SystemExit(f"the server ended with status {server.returncode}")
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"the server was not ready within {START_TIMEOUT_S} s")


def ask(address: str, key: str) -> str:
    """Return the text that the demo model answers."""
    body = {"model": "demo", "messages": [{"role": "user", "content": "안녕하세요"}]}
    request = urllib.request.Request(
        f"{address}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT_S) as answer:
        text: str = json.load(answer)["choices"][0]["message"]["content"]
        return text


def look(address: str) -> None:
    """Look whether the built pages came along.

    Raises:
        SystemExit: If a page is not there.
    """
    with urllib.request.urlopen(f"{address}/console", timeout=ANSWER_TIMEOUT_S) as page:
        if b"/assets/" not in page.read():
            raise SystemExit("the pages are not in the package")


def chat(command: str, address: str, key: str) -> None:
    """Ask once more with the installed terminal chat, which needs the client's wheel as well.

    Raises:
        SystemExit: If it does not answer.
    """
    variables = {**os.environ, "TOKENFERRY_API_KEY": key, "TOKENFERRY_BASE_URL": address}
    done = subprocess.run(
        [command, "chat", "--model", "demo"],
        input="안녕하세요",
        env=variables,
        stdout=subprocess.PIPE,
        timeout=ANSWER_TIMEOUT_S,
        check=False,
        encoding="utf-8",
    )
    if done.returncode != 0 or "안녕하세요" not in done.stdout:
        raise SystemExit(f"the terminal chat ended with status {done.returncode}: {done.stdout}")


def main(command: str) -> None:
    """Start, ask, stop; any failure ends with a status other than 0."""
    command = str(Path(command).absolute())
    with tempfile.TemporaryDirectory() as directory:
        data = str(Path(directory) / "data")
        key = subprocess.run(
            [command, "keys", "create", "try", "--data-dir", data],
            check=True,
            cwd=directory,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout.strip()
        port = free_port()
        server = subprocess.Popen(
            [command, "serve", "--port", str(port), "--data-dir", data], cwd=directory
        )
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until_ready(server, address)
            look(address)
            text = ask(address, key)
            chat(command, address, key)
        finally:
            server.terminate()
            status = server.wait(STOP_TIMEOUT_S)
    if not text:
        raise SystemExit("the answer was empty")
    if status != 0:
        raise SystemExit(f"the server stopped with status {status}")
    sys.stdout.write(f"The installed gateway answered {len(text)} characters and stopped.\n")


if __name__ == "__main__":
    main(sys.argv[1])
