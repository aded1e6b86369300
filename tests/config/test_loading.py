"""Where settings come from, and which source wins."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tokenferry.config import (
    AliasSettings,
    ConfigError,
    Fault,
    ProviderSettings,
    Secret,
    ServerSettings,
    Settings,
    load,
    load_data_dir,
    loading,
)
from tokenferry.config.presets import demo_provider

EXAMPLE = """\
[server]
port = 8001
origins = ["https://app.example"]
data_dir = "data"

[[providers]]
name = "openai"
kind = "openai"
base_url = "https://api.openai.com/v1/"
api_key = "env:OPENAI_API_KEY"
models = ["gpt-4.1", "gpt-4.1-mini"]

[[providers]]
name = "내서버"
kind = "openai"
base_url = "http://10.0.0.5:8000/v1"
models = ["exaone"]
on_cancel = "drain"
include_usage = false
idle_timeout_s = 0.5
proxy = ""
headers = { X-Team = "research" }

[[models]]
name = "fast"
candidates = ["openai/gpt-4.1-mini", "내서버/exaone"]
"""


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def faults_of(path: Path | None, environ: Mapping[str, str], **options: str) -> tuple[Fault, ...]:
    with pytest.raises(ConfigError) as caught:
        load(path, environ, options)
    return caught.value.faults


def test_without_anything_there_are_defaults_and_the_demo() -> None:
    assert load(None, {}) == Settings(providers=(demo_provider(),))
    assert Settings().server == ServerSettings()


def test_a_whole_file() -> None:
    Path("my.toml").write_text(EXAMPLE, encoding="utf-8")
    settings = load(Path("my.toml"), {"OPENAI_API_KEY": "sk-1"})
    assert settings == Settings(
        server=ServerSettings(port=8001, origins=("https://app.example",), data_dir=Path("data")),
        providers=(
            ProviderSettings(
                name="openai",
                kind="openai",
                base_url="https://api.openai.com/v1",
                api_key=Secret("sk-1"),
                models=("gpt-4.1", "gpt-4.1-mini"),
            ),
            ProviderSettings(
                name="내서버",
                kind="openai",
                base_url="http://10.0.0.5:8000/v1",
                models=("exaone",),
                on_cancel="drain",
                include_usage=False,
                idle_timeout_s=0.5,
                proxy=None,
                headers=(("x-team", Secret("research")),),
            ),
            demo_provider(),
        ),
        models=(AliasSettings(name="fast", candidates=("openai/gpt-4.1-mini", "내서버/exaone")),),
    )


def test_the_file_in_the_current_directory_is_found() -> None:
    Path("tokenferry.toml").write_text("[server]\nport = 1\n")
    assert load(None, {}).server.port == 1


def test_a_named_file_wins_over_it() -> None:
    Path("tokenferry.toml").write_text("[server]\nport = 1\n")
    Path("other.toml").write_text("[server]\nport = 2\n")
    assert load(Path("other.toml"), {}).server.port == 2


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf[server]\r\nport = 5\r\n", b"[server]\nport=5"])
def test_windows_files_are_read(content: bytes) -> None:
    Path("tokenferry.toml").write_bytes(content)
    assert load(None, {}).server.port == 5


def test_a_relative_path_in_the_file_starts_at_the_file(tmp_path: Path) -> None:
    directory = tmp_path / "etc"
    directory.mkdir()
    file = directory / "tokenferry.toml"
    file.write_text('[server]\ndata_dir = "data"\n')
    assert load(file, {}).server.data_dir == directory / "data"
    assert load(file, {}, {"data_dir": "data"}).server.data_dir == Path("data")
    assert load(file, {"TOKENFERRY_DATA_DIR": "data"}).server.data_dir == Path("data")


def test_options_win_over_variables_and_these_over_the_file() -> None:
    Path("tokenferry.toml").write_text('[server]\nport = 1\nhost = "a"\nlog_level = "error"\n')
    environ = {"TOKENFERRY_PORT": "2", "TOKENFERRY_HOST": "b"}
    server = load(None, environ, {"port": "3"}).server
    assert (server.port, server.host, server.log_level) == (3, "b", "error")


def test_every_setting_of_the_server_has_its_variable() -> None:
    environ = {
        "TOKENFERRY_ORIGINS": "https://a.example, *",
        "TOKENFERRY_METRICS_PUBLIC": "no",
        "TOKENFERRY_HEARTBEAT_S": "2.5",
        "TOKENFERRY_DEMO": "false",
        "TOKENFERRY_LOG_FORMAT": "",
    }
    server = load(None, environ).server
    assert server.origins == ("https://a.example", "*")
    assert (server.metrics_public, server.heartbeat_s, server.demo) == (False, 2.5, False)
    assert server.log_format == "auto"


def test_what_kubernetes_sets_is_no_port() -> None:
    environ = {
        "TOKENFERRY_PORT": "tcp://10.96.0.12:8000",
        "TOKENFERRY_SERVICE_HOST": "10.96.0.12",
        "TOKENFERRY_PORT_8000_TCP_ADDR": "10.96.0.12",
    }
    assert load(None, environ).server == ServerSettings()


def test_faults_from_outside_the_file_name_their_source() -> None:
    faults = faults_of(None, {"TOKENFERRY_PORT": "x"}, host="", tls_key="/no/such")
    assert [fault.line for fault in faults] == [None, None, None]
    assert [fault.message.partition(" is ")[0] for fault in faults] == [
        "the environment variable TOKENFERRY_PORT",
        "--host",
        "--tls-key names /no/such, which",
    ]


def test_a_certificate_goes_with_its_key(tmp_path: Path) -> None:
    pem = tmp_path / "x.pem"
    pem.write_text("x")
    server = load(None, {}, {"tls_cert": str(pem), "tls_key": str(pem)}).server
    assert (server.tls_cert, server.tls_key) == (pem, pem)
    (fault,) = faults_of(None, {}, tls_cert=str(pem))
    assert fault == (None, "`tls_cert` is set without a usable `tls_key`", "set `tls_key` as well")
    Path("tokenferry.toml").write_text(f'[server]\n\ntls_key = "{pem}"\n')
    (fault,) = faults_of(None, {})
    assert (fault.line, fault.remedy) == (3, "set `tls_cert` as well")
    assert load(None, {"TOKENFERRY_TLS_CERT": str(pem)}).server.tls_key == pem


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_file_that_cannot_be_read(name: str) -> None:
    (fault,) = faults_of(Path(name), {})
    assert fault.line is None
    assert fault.message.startswith(f"{name} cannot be read: ")
    assert fault.remedy == "name a file with --config"


def test_a_file_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "FILE_BYTES_MAX", 10)
    Path("tokenferry.toml").write_text("#" * 10)
    load(None, {})
    Path("tokenferry.toml").write_text("#" * 11)
    (fault,) = faults_of(None, {})
    assert fault.message == "tokenferry.toml is longer than 10 bytes"


class TestDataDir:
    def test_the_order_of_the_sources(self) -> None:
        assert load_data_dir(None, {}) == Path("tokenferry-data")
        Path("tokenferry.toml").write_text('[server]\ndata_dir = "a"\n')
        assert load_data_dir(None, {}) == Path("a")
        assert load_data_dir(None, {"TOKENFERRY_DATA_DIR": "b"}) == Path("b")
        assert load_data_dir(None, {"TOKENFERRY_DATA_DIR": "b"}, {"data_dir": "c"}) == Path("c")

    def test_other_faults_do_not_matter(self) -> None:
        Path("tokenferry.toml").write_text(
            'nonsense = 1\n[server]\nport = "x"\ndata_dir = "a"\n'
            '[[providers]]\nname = "openai"\napi_key = "env:NOT_IN_THIS_SHELL"\n'
        )
        assert load_data_dir(None, {"TOKENFERRY_PORT": "x"}) == Path("a")

    @pytest.mark.parametrize(
        ("source", "line"), [("[server]\ndata_dir = 5\n", 2), ("server = 1\n", 1), ("x\n", 1)]
    )
    def test_its_own_faults_do(self, source: str, line: int) -> None:
        Path("tokenferry.toml").write_text(source)
        with pytest.raises(ConfigError) as caught:
            load_data_dir(None, {})
        (fault,) = caught.value.faults
        assert fault.line == line
        assert str(caught.value).startswith(f"tokenferry.toml:{line}: ")

    def test_a_wrong_option(self) -> None:
        Path("file").write_text("x")
        with pytest.raises(ConfigError, match="--data-dir names file, which is no directory"):
            load_data_dir(None, {}, {"data_dir": "file"})
