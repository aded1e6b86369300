"""The files in `deploy`: a real nginx and a real Caddy before a real gateway, and the unit.

What differs from a user's installation is replaced in the files and nothing else: names, ports,
certificates. Clients call from other loopback addresses than the proxies do.
"""

import asyncio
import contextlib
import io
import json
import os
import re
import shutil
import ssl
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import trustme
import websockets

from harness.gateway import ROOT, Gateway, free_port, provider_entry
from harness.providers import ScriptedProvider, scripted_provider
from harness.relay import Steps
from tokenferry.config.settings import ProviderSettings, ServerSettings
from tokenferry.domain.api_key import PUBLIC_ID_CHARACTERS, SECRET_CHARACTERS, format_key

pytestmark = pytest.mark.asyncio(loop_scope="module")

NGINX = ROOT / "deploy" / "nginx" / "tokenferry.conf"
CADDY = ROOT / "deploy" / "caddy" / "Caddyfile"
UNIT = ROOT / "deploy" / "systemd" / "tokenferry.service"
START_TIMEOUT_S = 20
POLL_S = 0.02
TEXTS = ("하나 ", "둘 ", "셋")
BAD_KEYS_MAX = 2
# Nobody's, but of the form of a key: it is looked up, and counted.
WRONG_KEY = format_key("0" * PUBLIC_ID_CHARACTERS, "0" * SECRET_CHARACTERS)
NGINX_MAIN = """
{user}
daemon off;
worker_processes 1;
pid {work}/nginx.pid;
error_log {work}/nginx-error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {work}/body;
  proxy_temp_path {work}/proxy;
  fastcgi_temp_path {work}/fastcgi;
  uwsgi_temp_path {work}/uwsgi;
  scgi_temp_path {work}/scgi;
  include {work}/tokenferry.conf;
}}
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A proxy, the gateway behind it, and the provider behind that.

    Attributes:
        address: From where clients call; each proxy's have their own.
    """

    gateway: Gateway
    provider: ScriptedProvider
    port: int
    tls: ssl.SSLContext
    address: str

    def client(self, address: str = "") -> aiohttp.ClientSession:
        local = (address or self.address, 0)
        connector = aiohttp.TCPConnector(ssl=self.tls, local_addr=local)
        headers = {"Authorization": f"Bearer {self.gateway.key}"}
        return aiohttp.ClientSession(
            f"https://localhost:{self.port}", connector=connector, headers=headers
        )


def replaced(path: Path, values: dict[str, str]) -> str:
    """Return a file's text with each of these replaced, all of which must be in it."""
    text = path.read_text("utf-8")
    for old, new in values.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def nginx_command(work: Path, port: int, gateway_port: int) -> list[str]:
    values = {
        "listen 80;": f"listen 127.0.0.1:{free_port()};",
        "    listen [::]:80;\n": "",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "    listen [::]:443 ssl;\n": "",
        "/etc/letsencrypt/live/gateway.example.com/fullchain.pem": f"{work}/cert.pem",
        "/etc/letsencrypt/live/gateway.example.com/privkey.pem": f"{work}/key.pem",
        "gateway.example.com": "localhost",
        "127.0.0.1:8000": f"127.0.0.1:{gateway_port}",
    }
    (work / "tokenferry.conf").write_text(replaced(NGINX, values), "utf-8")
    # Who starts it as root would have a worker that cannot write there.
    user = "user root;" if os.geteuid() == 0 else ""
    (work / "nginx.conf").write_text(NGINX_MAIN.format(work=work, user=user), "utf-8")
    return ["nginx", "-e", f"{work}/nginx-error.log", "-c", f"{work}/nginx.conf"]


def caddy_command(work: Path, port: int, gateway_port: int) -> list[str]:
    site = f"https://localhost:{port} {{\n\ttls {work}/cert.pem {work}/key.pem"
    values = {"\ngateway.example.com {": f"\n{site}", "127.0.0.1:8000": f"127.0.0.1:{gateway_port}"}
    options = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"
    (work / "Caddyfile").write_text(options + replaced(CADDY, values), "utf-8")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", f"{work}/Caddyfile"]


PROXIES = {"nginx": nginx_command, "caddy": caddy_command}
each_proxy = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.needs(name)) for name in PROXIES]
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sites(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Site]]:
    """Every proxy that is there, all before one gateway."""
    directory: Path = tmp_path_factory.mktemp("deploy")
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    async with scripted_provider() as provider, contextlib.AsyncExitStack() as stack:
        gateway = Gateway(
            directory / "gateway",
            server={"drain_timeout_s": START_TIMEOUT_S},
            providers=[provider_entry("openai", provider.url)],
            tables={
                "accounts": {"trusted_proxies": 1},
                "limits": {"requests_per_minute": 0, "bad_keys_per_minute": BAD_KEYS_MAX},
            },
        )
        await gateway.start()
        stack.push_async_callback(gateway.kill)
        running = {}
        for number, name in enumerate(filter(shutil.which, PROXIES)):
            work = directory / name
            work.mkdir()
            certificate.private_key_pem.write_to_path(work / "key.pem")
            certificate.cert_chain_pems[0].write_to_path(work / "cert.pem")
            port = free_port()
            command = PROXIES[name](work, port, gateway.port)
            await stack.enter_async_context(proxy(command, work, port))
            running[name] = Site(gateway, provider, port, tls, f"127.0.1.{number + 1}")
        yield running


@pytest.fixture
def site(sites: dict[str, Site], name: str) -> Site:
    return sites[name]


@contextlib.asynccontextmanager
async def proxy(command: Sequence[str], work: Path, port: int) -> AsyncIterator[None]:
    """Run a proxy that listens there."""
    with (work / "proxy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=log, stderr=log, env={**os.environ, "HOME": str(work)}
        )
    try:
        await until_open(port, process, work / "proxy.log")
        yield
    finally:
        process.terminate()
        await process.wait()


async def until_open(port: int, proxy: asyncio.subprocess.Process, log: Path) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        while True:
            assert proxy.returncode is None, log.read_text("utf-8")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(POLL_S)
            else:
                writer.close()
                return


def body(prompt: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": prompt}]
    return {"model": "m-openai", "stream": True, "messages": messages}


async def until_text(response: aiohttp.ClientResponse, text: str) -> None:
    """Read lines until one has the text."""
    async for line in response.content:
        if text in line.decode():
            return
    raise AssertionError(f"the stream ended without {text!r}")


# In lockstep: each token is sent after the client has the one before it, so that a proxy that holds
# one back would never finish.


@each_proxy
async def test_event_streams_are_not_buffered(site: Site) -> None:
    steps = Steps(TEXTS)
    async with site.client() as client:
        asked = client.post("/v1/chat/completions", json=body(site.provider.play(steps)))
        steps.give(1)
        async with asked as response:
            assert response.status == 200
            for text in TEXTS:
                await until_text(response, text)
                steps.give(1)
            await until_text(response, "[DONE]")


@each_proxy
async def test_websockets_pass_and_a_page_of_the_same_host_may_connect(site: Site) -> None:
    steps = Steps(TEXTS)
    url = f"wss://localhost:{site.port}/v1/stream"
    headers = {"Authorization": f"Bearer {site.gateway.key}"}
    origin = f"https://localhost:{site.port}"
    async with websockets.connect(
        url, additional_headers=headers, origin=origin, ssl=site.tls
    ) as socket:
        await socket.send(json.dumps(body(site.provider.play(steps))))
        for text in TEXTS:
            steps.give(1)
            while text not in await socket.recv():
                pass
        while '"done":true' not in await socket.recv():
            pass


@each_proxy
async def test_a_client_that_leaves_ends_the_providers_work(site: Site) -> None:
    steps = Steps(TEXTS)
    prompt = site.provider.play(steps)
    async with site.client() as client:
        asked = client.post("/v1/chat/completions", json=body(prompt))
        steps.give(1)
        async with asked as response:
            await until_text(response, TEXTS[0])
            # As when a program is killed. A polite end of TLS would wait for the proxy's.
            assert response.connection is not None
            assert response.connection.transport is not None
            response.connection.transport.abort()
        await (await site.provider.exchange(prompt)).until_gone()


@each_proxy
async def test_the_clients_address_is_known_and_cannot_be_invented(site: Site) -> None:
    async def status(address: str, **headers: str) -> int:
        async with site.client(address) as client:
            headers["Authorization"] = f"Bearer {WRONG_KEY}"
            async with client.get("/v1/models", headers=headers) as response:
                return response.status

    for _ in range(BAD_KEYS_MAX):
        assert await status(site.address) == 401
    assert await status(site.address) == 429
    assert await status(site.address, **{"X-Forwarded-For": "203.0.113.9"}) == 429
    assert await status(site.address.replace("127.0.1.", "127.0.2.")) == 401


@each_proxy
async def test_metrics_stop_at_the_proxy_and_too_large_bodies_at_the_gateway(site: Site) -> None:
    async with site.client() as client:
        async with client.get("/metrics") as response:
            assert response.status == 404
        large = io.BytesIO(b'{"model": "' + b"x" * ServerSettings().body_bytes_max + b'"}')
        async with client.post("/v1/chat/completions", data=large) as response:
            assert response.status == 413
            assert (await response.json())["error"]["code"] == "payload_too_large"
        async with client.get("/readyz") as response:
            assert response.status == 200


@each_proxy
async def test_browsers_are_to_stay_with_tls_and_versions_are_not_told(site: Site) -> None:
    async with site.client() as client:
        for path, status in (("/readyz", 200), ("/v1/nothing", 404), ("/metrics", 404)):
            async with client.get(path) as response:
                assert response.status == status
                assert response.headers["strict-transport-security"] == "max-age=31536000"
                assert not re.search(r"[0-9]", response.headers.get("server", ""))


async def test_a_drain_lets_streams_finish_and_refuses_new_ones(sites: dict[str, Site]) -> None:
    if not sites:
        pytest.skip("there is no proxy")
    steps = {name: Steps(TEXTS) for name in sites}
    async with contextlib.AsyncExitStack() as stack:
        clients, responses = {}, {}
        for name, site in sites.items():
            clients[name] = await stack.enter_async_context(site.client())
            request = body(site.provider.play(steps[name]))
            steps[name].give(1)
            asked = clients[name].post("/v1/chat/completions", json=request)
            responses[name] = await stack.enter_async_context(asked)
            await until_text(responses[name], TEXTS[0])
        gateway = next(iter(sites.values())).gateway
        gateway.terminate()
        for name, client in clients.items():
            await until_draining(client)
            async with client.post("/v1/chat/completions", json=body("x")) as refused:
                # 502: the gateway takes no further connections of the proxy.
                assert refused.status in {502, 503}
            steps[name].give(len(TEXTS) - 1)
            await until_text(responses[name], TEXTS[-1])
            await until_text(responses[name], "[DONE]")
    assert await gateway.exit_status() == 0
    await gateway.start()  # for whoever comes next


async def until_draining(client: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        while True:
            async with client.get("/readyz") as response:
                if response.status != 200:
                    return
            await asyncio.sleep(POLL_S)


async def test_nginx_waits_for_longer_than_the_gateway() -> None:
    found = re.search(r"proxy_read_timeout (\d+)s;", NGINX.read_text("utf-8"))
    assert found
    assert int(found[1]) > ProviderSettings.__dataclass_fields__["first_byte_timeout_s"].default
    assert int(found[1]) > ServerSettings().ping_interval_s


@pytest.mark.needs("systemd-analyze")
async def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    program = tmp_path / "tokenferry"
    program.symlink_to(sys.executable)
    unit = tmp_path / UNIT.name
    unit.write_text(replaced(UNIT, {"/opt/tokenferry/bin/tokenferry": str(program)}), "utf-8")
    process = await asyncio.create_subprocess_exec(
        "systemd-analyze", "verify", "--man=no", str(unit),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert (process.returncode, out.decode()) == (0, "")


async def test_systemd_waits_for_longer_than_a_drain() -> None:
    found = re.search(r"TimeoutStopSec=(\d+)", UNIT.read_text("utf-8"))
    assert found
    assert int(found[1]) > ServerSettings().drain_timeout_s
