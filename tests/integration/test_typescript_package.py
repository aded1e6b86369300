"""The TypeScript client as users get it: packed, installed elsewhere, typed, small, and at work."""

import asyncio
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from chaos.faults import Fault, Kind
from chaos.proxy import Proxy

from harness.components import NODE_MODULES, ROOT, TYPESCRIPT
from harness.dialects import closing, opening, token
from harness.gateway import SERVER, Gateway, ProviderEntry
from harness.providers import ScriptedProvider, closed_port, replay
from harness.typescript import build

pytestmark = pytest.mark.needs("node", "typescript")

TIMEOUT_S = 100
README_CODE = re.compile(r"^```js\n(.*?)^```$", re.MULTILINE | re.DOTALL)
IMPORT = re.compile(r'(?:^|;)(?:import|export)\b[^;]*?from "([^"]+)"|\bimport\(', re.MULTILINE)
CODE_WORD = re.compile(r"`([^`\n]+)`")
VECTORS = ROOT / "spec" / "vectors" / "api_key.json"
SOME_KEY = json.loads(VECTORS.read_text("utf-8"))["cases"][0]["key"]
# Growing beyond that takes a reason.
SIZE_BYTES_MAX = 13_500
IS_ARM = platform.machine() in ("aarch64", "arm64")
# The machine's Node, and those that only `make runtimes` installs.
NEWEST = ROOT / "tests" / "runtimes" / "node_modules"
RUNTIMES = {
    "node": ["node"],
    "node-newest": [str(NEWEST / f"node-linux-{'arm64' if IS_ARM else 'x64'}" / "bin" / "node")],
    "bun": [str(NEWEST / "@oven" / f"bun-linux-{'aarch64' if IS_ARM else 'x64'}" / "bin" / "bun")],
    "deno": [
        str(NEWEST / "@deno" / f"linux-{'arm64' if IS_ARM else 'x64'}-glibc" / "deno"),
        # It may look up no variable of the environment.
        *("run", "--no-prompt", "--allow-net=127.0.0.1", "--allow-read"),
    ],
}
# Without those that are not installed; `make runtimes` wants them all.
TRIED = [
    name
    for name, command in RUNTIMES.items()
    if name == "node" or "RUNTIMES_EVERY" in os.environ or shutil.which(command[0])
]
STEPS = ("require", "answer", "http", "cut", "ticket", "page", "errors")
# Where connections to the gateway break, in bytes of an answer that is longer.
CUTS = [Fault(Kind.CUT, at_bytes=2_000), Fault(Kind.RESET, at_bytes=9_001)]
LONG = [f"{number}: 가나다 👨‍👩‍👧‍👦 " for number in range(200)]
TYPESCRIPT_OPTIONS = {
    "target": "ES2022",
    "module": "NodeNext",
    "lib": ["ES2022", "DOM"],
    "types": [],
    "strict": True,
    "exactOptionalPropertyTypes": True,
    "skipLibCheck": True,  # the browser's own types take long to check
    "outDir": "out",
}


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider) -> dict[str, Any]:
    """Return a gateway whose `demo` answers at once, not at a reader's pace."""
    texts = ["안녕", "하세요! ", "만나서 ", "반갑습니다 ", "👩‍👩‍👧"]
    provider.otherwise = replay(
        [*opening("openai"), *(token("openai", text) for text in texts), *closing("openai", 5)]
    )
    return {
        "server": {**SERVER, "demo": False},
        "providers": [ProviderEntry("fast", "openai", f"{provider.url}/v1", ["demo"])],
    }


def run(*command: str, at: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=at,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pack what is in the repository, with the build that the tests have already."""
    source = tmp_path_factory.mktemp("source")
    for name in ("README.md", "README.ko.md", "LICENSE", "package.json"):
        shutil.copy(TYPESCRIPT / name, source)
    shutil.copytree(TYPESCRIPT / "src", source / "src")
    build(source / "dist")
    (source / "dist" / "package.json").unlink()
    packed = run("npm", "pack", "--ignore-scripts", at=source)
    assert packed.returncode == 0, packed.stderr
    (found,) = source.glob("*.tgz")
    return found


@pytest.fixture(scope="module")
def project(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a user's own, with nothing in it but the package and `ws`."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "package.json").write_text('{"type": "module", "private": true}', "utf-8")
    wanted = (str(tarball), str(NODE_MODULES / "ws"))
    options = ("--offline", "--ignore-scripts", "--no-audit", "--no-fund")
    installed = run("npm", "install", *options, *wanted, at=folder)
    assert installed.returncode == 0, installed.stderr
    return folder


@pytest.fixture(scope="module")
def compiled(project: Path) -> Path:
    """The examples, compiled against the installed package, with what its types promise."""
    for path in [*TYPESCRIPT.glob("examples/*.ts"), TYPESCRIPT / "checks" / "types.ts"]:
        shutil.copy(path, project)
    config = {"compilerOptions": TYPESCRIPT_OPTIONS, "include": ["*.ts"]}
    (project / "tsconfig.json").write_text(json.dumps(config), "utf-8")
    done = run("node", str(TYPESCRIPT / "node_modules/typescript/bin/tsc"), at=project)
    assert done.returncode == 0, done.stdout
    return project / "out"


@pytest.mark.parametrize(
    ("module", "resolution"),
    [("Node16", "Node16"), ("ESNext", "Bundler"), ("Preserve", "Bundler")],
)
def test_the_types_are_found_by_every_resolution(
    project: Path, tmp_path: Path, module: str, resolution: str
) -> None:
    """As with NodeNext, by which the examples are compiled."""
    shutil.copy(TYPESCRIPT / "checks" / "types.ts", tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}', "utf-8")
    (tmp_path / "node_modules").symlink_to(project / "node_modules")
    named = {"module": module, "moduleResolution": resolution, "verbatimModuleSyntax": True}
    config = {"compilerOptions": {**TYPESCRIPT_OPTIONS, **named}, "include": ["*.ts"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(config), "utf-8")
    done = run("node", str(TYPESCRIPT / "node_modules/typescript/bin/tsc"), at=tmp_path)
    assert done.returncode == 0, done.stdout


async def node(gateway: Gateway, script: Path) -> str:
    """Run a program with the environment that the package documents, and return what it prints."""
    found = {"TOKENFERRY_BASE_URL": gateway.url, "TOKENFERRY_API_KEY": gateway.key}
    return await program(script.parent, "node", script.name, **found)


async def program(at: Path, *command: str, **variables: str) -> str:
    """Run a program, which must end by itself, and return what it prints."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=at,
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(TIMEOUT_S):
        out, err = await process.communicate()
    assert process.returncode == 0, out.decode() + err.decode()
    return out.decode()


def examples_of(readme: str) -> list[str]:
    return README_CODE.findall((TYPESCRIPT / readme).read_text("utf-8"))


@pytest.mark.asyncio(loop_scope="module")
async def test_the_examples_do_what_they_say(
    gateway: Gateway, project: Path, compiled: Path
) -> None:
    (project / "readme.js").write_text(examples_of("README.md")[0], "utf-8")
    readme, ask, follow, tools = await asyncio.gather(
        node(gateway, project / "readme.js"),
        *(node(gateway, compiled / f"{name}.js") for name in ("ask", "follow", "tools")),
    )
    for shown in (readme, ask):
        assert "안녕하세요" in shown
        assert "stop" in shown.splitlines()[-1]
    assert re.fullmatch(r"the same \d{2,} characters\n", follow)
    assert re.fullmatch(r"no call, but \d{2,} characters\n", tools)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("runtime", TRIED)
async def test_the_package_works_in_this_runtime(
    gateway: Gateway, provider: ScriptedProvider, project: Path, runtime: str
) -> None:
    command = RUNTIMES[runtime]
    shutil.copy(ROOT / "tests" / "node" / "runtime.mjs", project)
    blocks = [*opening("openai"), *(token("openai", text) for text in LONG), *closing("openai", 9)]
    prompt = provider.play(replay(blocks))
    proxy = Proxy(gateway.port, lambda number: CUTS[number] if number < len(CUTS) else Fault())
    await proxy.start()
    try:
        with closed_port() as dead:
            given = {"url": gateway.url, "key": gateway.key, "prompt": prompt}
            given |= {"relay": f"http://127.0.0.1:{proxy.port}", "dead": f"http://127.0.0.1:{dead}"}
            shown = await program(project, *command, "runtime.mjs", json.dumps(given))
    finally:
        await proxy.stop()
    assert shown.splitlines() == [f"ok {name}" for name in STEPS]
    assert proxy.cuts >= 1
    assert len(provider.exchanges(prompt)) == 1


def test_the_package_holds_what_it_needs_and_nothing_else(tarball: Path) -> None:
    with tarfile.open(tarball) as packed:
        names = {name.removeprefix("package/") for name in packed.getnames()}
    assert {"README.md", "README.ko.md", "LICENSE", "package.json"} <= names
    folders = {name.partition("/")[0] for name in names if "/" in name}
    assert folders == {"dist", "src"}
    for entry in ("node", "browser", "link"):
        assert {f"dist/{entry}.js", f"dist/{entry}.d.ts"} <= names


def test_the_entry_for_pages_imports_nothing_of_node_and_nothing_else(project: Path) -> None:
    dist = project / "node_modules" / "tokenferry" / "dist"
    seen, left = set(), ["browser.js"]
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        text = (dist / name).read_text("utf-8")
        found = IMPORT.findall(text)
        assert all(target.startswith("./") for target in found), (name, found)
        assert "process." not in text, name
        left += [target.removeprefix("./") for target in found]
    assert "node.js" not in seen
    assert len(seen) > 10


def test_without_a_websocket_the_error_says_what_to_install(project: Path, tmp_path: Path) -> None:
    """Node before 22 has none of its own; here a newer one's is taken away."""
    modules = tmp_path / "node_modules"
    shutil.copytree(project / "node_modules" / "tokenferry", modules / "tokenferry")
    script = (
        "import { Tokenferry } from 'tokenferry'; delete globalThis.WebSocket;"
        f"const client = new Tokenferry({{ apiKey: '{SOME_KEY}' }});"
        "client.stream({ model: 'demo', messages: [] }).text()"
        ".catch((error) => { console.log(error.name, error.message); client.close(); });"
    )
    done = run("node", "--input-type=module", "--eval", script, at=tmp_path)
    assert done.stdout.startswith("ConfigurationError Node before 22"), done.stderr
    assert "npm install ws" in done.stdout


def test_the_package_is_as_small_as_it_says(tmp_path: Path) -> None:
    """What a page pays that uses streams: the entry for pages, minified and compressed."""
    dist = build(tmp_path / "dist")
    measured = run("node", str(TYPESCRIPT / "checks" / "size.js"), str(dist), at=TYPESCRIPT)
    assert measured.returncode == 0, measured.stderr
    size_bytes = int(measured.stdout)
    assert size_bytes <= SIZE_BYTES_MAX
    for readme in ("README.md", "README.ko.md"):
        text = (TYPESCRIPT / readme).read_text("utf-8")
        assert f"{size_bytes / 1000:.1f} kB" in text, f"{readme}: {size_bytes}"


class TestReadmes:
    """The Korean one says the same."""

    def test_have_the_same_code(self) -> None:
        english, korean = examples_of("README.md"), examples_of("README.ko.md")
        assert [code.count("\n") for code in english] == [code.count("\n") for code in korean]
        assert len(english) > 2

    def test_name_the_same_things(self) -> None:
        english, korean = (
            set(CODE_WORD.findall(README_CODE.sub("", (TYPESCRIPT / name).read_text("utf-8"))))
            for name in ("README.md", "README.ko.md")
        )
        assert english == korean
