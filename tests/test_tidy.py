"""The shape of the code and of the texts: limits that only tighten."""

import ast
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "tokenferry"
TESTS = ROOT / "tests"
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path.name != "__init__.py")

# The clients and the pages are packages of their own; what a module may have is the same.
CLIENT_MODULES = sorted(
    [
        *ROOT.glob("clients/python/src/**/*.py"),
        *ROOT.glob("clients/typescript/src/*.ts"),
        *ROOT.glob("web/src/**/*.ts*"),
    ]
)

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
NAMES_BANNED = {"base", "common", "core", "helpers", "manager", "misc", "util", "utils"}

# Modules without a test module of their name, and where their tests are instead.
TESTED_ELSEWHERE = {
    # What `python -m tokenferry` runs, as every integration test does.
    "__main__.py": "tests/integration/test_readme.py",
    # Protocols and plain tuples: what can be wrong with them shows in who uses them.
    "engine/accounts.py": "tests/stores/test_sqlite_accounts.py",
    "engine/audit_trail.py": "tests/stores/test_sqlite_audit_trail.py",
    "engine/ports.py": "tests/engine/test_generation.py",
    # The tree is tested as one.
    **dict.fromkeys(
        (
            f"errors/{name}.py"
            for name in ("access", "gateway", "payment", "provider", "request", "root")
        ),
        "tests/test_errors.py",
    ),
    "engine/statement.py": "tests/stores/test_sqlite_statements.py",
    "engine/vouchers.py": "tests/stores/test_sqlite_vouchers.py",
    "engine/payments.py": "tests/engine/test_topups.py",
    "config/request_log_settings.py": "tests/config/test_routing_settings.py",
    "config/queue_settings.py": "tests/config/test_routing_settings.py",
    "engine/shop.py": "tests/engine/test_topups.py",
    "config/payment_checks.py": "tests/config/test_payment_settings.py",
    "config/telemetry_settings.py": "tests/server/test_telemetry.py",
    "server/arrivals.py": "tests/integration/test_telemetry.py",
    "server/span_export.py": "tests/integration/test_telemetry.py",
    "server/line_metrics.py": "tests/integration/test_queue.py",
    "server/payment_pages.py": "tests/integration/test_payments.py",
    "server/payment_texts.py": "tests/browser/test_pay_page.py",
    "server/topups_api.py": "tests/integration/test_payments.py",
    "server/topup_rulings_api.py": "tests/integration/test_payment_rulings.py",
    "engine/topup_words.py": "tests/engine/test_topups.py",
    "server/vouchers_api.py": "tests/integration/test_money.py",
    "server/status_texts.py": "tests/server/test_status_page.py",
    "server/request_site.py": "tests/integration/test_requests.py",
    "server/requests_api.py": "tests/integration/test_requests.py",
    "server/usage_api.py": "tests/integration/test_money.py",
    "engine/ledger.py": "tests/engine/test_settlement.py",
    "engine/options.py": "tests/engine/test_dispatcher.py",
    "engine/meta.py": "tests/engine/test_recovery.py",
    "engine/live_call.py": "tests/engine/test_pursuit.py",
    "engine/bill.py": "tests/engine/test_billing.py",
    "providers/demo/simulator.py": "tests/providers/test_demo_pace.py",
    # The sentences of the demo.
    "providers/demo/texts.py": "tests/providers/test_demo_script.py",
    # What there is to see of the terminal chat, only a terminal shows.
    "cli/chat.py": "tests/integration/test_chat.py",
    "cli/chat_screen.py": "tests/integration/test_chat.py",
    # What is left of the server when its decisions are elsewhere: sockets and wiring, which only
    # a running gateway and real connections show to be right.
    "server/account_site.py": "tests/integration/test_accounts.py",
    "server/accounts_api.py": "tests/integration/test_accounts.py",
    "server/admin_api.py": "tests/integration/test_accounts.py",
    "server/admin_site.py": "tests/integration/test_administration.py",
    "server/audit_api.py": "tests/integration/test_administration.py",
    "server/audit_facts.py": "tests/cli/test_audit_commands.py",
    "server/audit_log.py": "tests/integration/test_administration.py",
    "server/grants_api.py": "tests/integration/test_administration.py",
    "server/key_admin_api.py": "tests/integration/test_administration.py",
    "server/ledger_check_api.py": "tests/integration/test_administration.py",
    "server/prices_api.py": "tests/integration/test_administration.py",
    "server/voucher_admin_api.py": "tests/integration/test_administration.py",
    "server/provider_site.py": "tests/integration/test_readme.py",
    "server/credentials.py": "tests/integration/test_rate_limits.py",
    "server/chat_api.py": "tests/integration/test_chat_tickets.py",
    "server/drain.py": "tests/integration/test_drain.py",
    "server/create_headers.py": "tests/integration/test_streams_http.py",
    "server/hub.py": "tests/integration/test_keys_live.py",
    "server/keys_api.py": "tests/integration/test_accounts.py",
    "server/upgrade.py": "tests/integration/test_browser_rules.py",
}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def module_id(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def test_source_was_found() -> None:
    assert MODULES
    assert {path.suffix for path in CLIENT_MODULES} == {".py", ".ts", ".tsx"}


@pytest.mark.parametrize("path", CLIENT_MODULES, ids=lambda path: str(path.relative_to(ROOT)))
class TestClientModule:
    def test_fits(self, path: Path) -> None:
        assert len(path.read_text("utf-8").splitlines()) <= MODULE_LINES_MAX

    def test_is_named_for_its_duty(self, path: Path) -> None:
        assert path.stem not in NAMES_BANNED


@pytest.mark.parametrize("path", MODULES, ids=module_id)
class TestModule:
    def test_fits(self, path: Path) -> None:
        assert len(path.read_text("utf-8").splitlines()) <= MODULE_LINES_MAX

    def test_functions_fit_on_a_screen(self, path: Path) -> None:
        for function in functions(path):
            assert function.end_lineno is not None
            lines = function.end_lineno - function.lineno + 1
            assert lines <= FUNCTION_LINES_MAX, f"{function.name} has {lines} lines"

    def test_says_what_it_is_for(self, path: Path) -> None:
        docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
        assert docstring
        assert docstring.partition("\n")[0].endswith((".", ":", "…"))

    def test_is_named_for_its_duty(self, path: Path) -> None:
        assert path.stem not in NAMES_BANNED
        assert path.parent.name not in NAMES_BANNED

    def test_has_a_test_module(self, path: Path) -> None:
        relative = path.relative_to(SOURCE)
        mirrored = TESTS / relative.with_name(f"test_{path.name}")
        # Of a package inside a package: providers/demo/script.py, test_demo_script.py.
        flat = TESTS / relative.parts[0] / f"test_{'_'.join(relative.parts[1:])}"
        elsewhere = TESTED_ELSEWHERE.get(str(relative))
        if elsewhere is None:
            assert mirrored.is_file() or flat.is_file(), f"{mirrored.relative_to(ROOT)} is missing"
        else:
            assert not mirrored.exists(), "take it off TESTED_ELSEWHERE"
            assert (ROOT / elsewhere).is_file(), f"{elsewhere} is missing"


def test_no_module_is_listed_that_is_not_there() -> None:
    assert {name for name in TESTED_ELSEWHERE if not (SOURCE / name).is_file()} == set()


# -- texts -----------------------------------------------------------------------------------

# What must stand in no file: whose it is, and how it looks. This file is the one exception.
FORBIDDEN = {
    "a path of somebody's workplace": r"(?<![\w.$}>])/(?:work|root)/[\w.]",
    "a package registry's address": (
        r"\bpypi\.org|pythonhosted\.org|registry\.npmjs\.org|registry\.yarnpkg\.com|--index-url"
        r"|--extra-index-url|--find-links"
    ),
    "an issue or a session that readers do not have": (
        r"(?i)\bissue #?\d|\bthis session\b|\bsubagent|\bhelper agent|\bco-authored-by\b"
        r"|\bclaude code\b"
    ),
    "a conflict marker": r"(?m)^(?:<{7}|>{7}|={7})(?: |$)",
}
TEXT_SUFFIXES = {
    "", ".cfg", ".css", ".html", ".in", ".js", ".json", ".md", ".mjs", ".py", ".sh", ".sql",
    ".svg", ".toml", ".ts", ".txt", ".yaml", ".yml",
}  # fmt: skip
# Recordings of providers, as they came.
NOT_OURS = ("tests/data/transcripts/",)


NO_SOURCES = {
    ".git", ".venv", "node_modules", "build", "dist", "__pycache__", ".mypy_cache", ".ruff_cache",
    ".pytest_cache", ".import_linter_cache", ".hypothesis", "tokenferry-data",
}  # fmt: skip


def listed() -> list[str]:
    """Return the names of all files that git knows or would add; without git, of all files."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    if shutil.which("git"):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
        if done.returncode == 0:
            return [name for name in done.stdout.decode().split("\0") if name]
    return [
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*")
        if not NO_SOURCES.intersection(path.relative_to(ROOT).parts)
    ]


def texts() -> list[Path]:
    """Return every text file that is, or is about to be, in the repository."""
    return sorted(
        path
        for name in listed()
        if not name.startswith(NOT_OURS)
        and (path := ROOT / name).is_file()
        and path.suffix in TEXT_SUFFIXES
        and path != Path(__file__)
    )


def test_texts_hold_nothing_that_is_not_for_readers() -> None:
    found = []
    for path in texts():
        text = path.read_text("utf-8")
        for what, pattern in FORBIDDEN.items():
            found += [
                f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: {what}:"
                f" {match[0]}"
                for match in re.finditer(pattern, text)
            ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    ["see /work/x/y", "https://pypi.org/simple", "as issue #12 says", "<<<<<<< HEAD"],
)
def test_the_patterns_find_what_they_should(text: str) -> None:
    assert any(re.search(pattern, text) for pattern in FORBIDDEN.values())


def test_text_files_end_with_one_newline_and_have_no_trailing_blanks() -> None:
    faulty = []
    for path in texts():
        data = path.read_bytes()
        if data and (not data.endswith(b"\n") or data.endswith(b"\n\n")):
            faulty.append(f"{path.relative_to(ROOT)}: its end")
        if b"\r" in data or re.search(rb"[ \t]+$", data, re.MULTILINE):
            faulty.append(f"{path.relative_to(ROOT)}: blanks before a line's end")
    assert faulty == []


# -- packaging -------------------------------------------------------------------------------

LOCKS = ("requirements.txt", "requirements-build.txt", "requirements-dev.txt")
PIN = re.compile(
    r"^([a-z0-9-]+)==(\S+)(?: ; [^\\]+)? \\\n((?: {4}--hash=sha256:[0-9a-f]{64}.*\n)+)",
    re.MULTILINE,
)
TARGET = re.compile(r"^([a-z][a-z-]*):(?!=)", re.MULTILINE)
MAKE_COMMAND = re.compile(r"\bmake ([a-z][a-z-]*)")


def pins(name: str) -> dict[str, str]:
    return {match[1]: match[2] for match in PIN.finditer((ROOT / name).read_text("utf-8"))}


class TestLocks:
    @pytest.mark.parametrize("name", LOCKS)
    def test_every_pin_has_its_hash(self, name: str) -> None:
        lines = (ROOT / name).read_text("utf-8").splitlines()
        assert lines[0] == "# Written by `make lock`; do not edit."
        assert pins(name)
        assert len(pins(name)) == sum(line[:1] not in ("", " ", "#") for line in lines)

    def test_the_locks_agree(self) -> None:
        runtime, build, development = map(pins, LOCKS)
        assert runtime.items() <= development.items()
        for name in build.keys() & development.keys():
            assert build[name] == development[name]

    def test_the_locks_hold_what_the_project_asks_for(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
        for lock, wanted in zip(
            LOCKS,
            (
                project["project"]["dependencies"],
                project["build-system"]["requires"],
                project["project"]["optional-dependencies"]["dev"],
            ),
            strict=True,
        ):
            names = {re.split(r"[^A-Za-z0-9-]", line)[0] for line in wanted}
            assert names <= pins(lock).keys()


def test_documents_name_only_make_targets_that_exist() -> None:
    targets = set(TARGET.findall((ROOT / "Makefile").read_text("utf-8")))
    assert {"serve", "test", "check", "setup"} <= targets
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        code = re.findall(r"`[^`]+`|^```.*?^```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)
        named = set(MAKE_COMMAND.findall("\n".join(code)))
        assert named <= targets, path


# -- the two READMEs -------------------------------------------------------------------------

HEADING = re.compile(r"^(#+) ", re.MULTILINE)
FENCED = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
BENCH = re.compile(r"<!-- bench -->\n(.*?)<!-- /bench -->", re.DOTALL)
FIGURE = re.compile(r"\d[\d.,]*")


def readme(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


class TestReadmes:
    def test_have_the_same_sections(self) -> None:
        english, korean = (
            HEADING.findall(FENCED.sub("", readme(name))) for name in ("README.md", "README.ko.md")
        )
        assert english == korean

    def test_have_the_same_code(self) -> None:
        """Compare kind and length; words inside, such as prompts, may be translated."""
        english, korean = (
            [(block["language"], block["code"].count("\n")) for block in FENCED.finditer(text)]
            for text in (readme("README.md"), readme("README.ko.md"))
        )
        assert english == korean

    def test_quote_the_same_figures(self) -> None:
        (english,), (korean,) = (
            BENCH.findall(readme(name)) for name in ("README.md", "README.ko.md")
        )
        assert FIGURE.findall(english) == FIGURE.findall(korean)

    def test_python_examples_compile(self) -> None:
        for name in ("README.md", "README.ko.md"):
            blocks = [b["code"] for b in FENCED.finditer(readme(name)) if b["language"] == "python"]
            assert blocks
            for code in blocks:
                ast.parse(code)
