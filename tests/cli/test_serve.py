"""What `tokenferry serve` passes on, and what it prints when the gateway is ready."""

import json
import logging
import shlex
from pathlib import Path

import pytest

from tokenferry.cli import serve
from tokenferry.cli.main import main
from tokenferry.config import AliasSettings, ProviderSettings, Secret, ServerSettings, Settings
from tokenferry.config.presets import demo_provider

PROVIDER = ProviderSettings(
    name="내서버",
    kind="openai",
    base_url="http://localhost/v1",
    api_key=Secret("sk-hidden"),
    models=tuple(f"model-{number}" for number in range(8)),
)
URL = "http://127.0.0.1:8000"


class Server:
    """In place of the server: notes what it was given."""

    def __init__(self) -> None:
        self.settings: Settings | None = None

    def run(self, settings: Settings, on_ready) -> int:
        self.settings = settings
        logging.getLogger("tokenferry").warning("listening with %s", "sk-hidden-key")
        on_ready(URL, "tf_first")
        return 7


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(serve.app, "run", server.run)
    return server


def test_options_reach_the_server_and_its_exit_code_the_shell(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pem").write_text("x")
    argv = "serve --host :: --port 0 --data-dir d --tls-cert pem --tls-key pem"
    assert main(shlex.split(argv)) == 7
    pem = Path("pem")
    expected = ServerSettings(host="::", port=0, data_dir=Path("d"), tls_cert=pem, tls_key=pem)
    assert server.settings == Settings(server=expected, providers=(demo_provider(),))
    captured = capsys.readouterr()
    # The banner and the log do not mix.
    assert "tf_first" in captured.out
    assert "listening" not in captured.out
    assert json.loads(captured.err)["message"] == "listening with sk-***"


def test_the_log_follows_the_settings(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my.toml").write_text('[server]\nlog_format = "text"\nlog_level = "error"\n')
    assert main(["serve", "--config", "my.toml"]) == 7
    assert capsys.readouterr().err == ""


def test_faults_end_it_before_it_begins(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "http", "--tls-cert", "nope"]) == 1
    assert server.settings is None
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "tokenferry: the configuration has faults:",
        "--port is 'http', not an integer -> write an integer within 0..65535",
        "--tls-cert names nope, which is no file -> write the path of a file",
    ]


def banner(
    capsys: pytest.CaptureFixture[str],
    settings: Settings,
    url: str = URL,
    first_key: str | None = None,
) -> str:
    serve.print_banner(settings, url, first_key)
    return capsys.readouterr().out


def test_the_first_start(capsys: pytest.CaptureFixture[str]) -> None:
    text = banner(capsys, Settings(providers=(demo_provider(),)), first_key="tf_first")
    assert f"listens on {URL}\n" in text
    assert f"browser: {URL}/\n" in text
    assert "Your first API key: tf_first\n  It is shown only once." in text
    assert "tokenferry keys create NAME\n" in text
    assert "demo: a built-in simulator" in text
    assert "set OPENAI_API_KEY" in text


def test_the_command_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    text = banner(capsys, Settings(providers=(demo_provider(),)), first_key="tf_first")
    command = text[text.index("curl") : text.index("\n\n", text.index("curl"))]
    words = shlex.split(command.replace("\\\n", " "))
    assert words[:3] == ["curl", "-N", f"{URL}/v1/chat/completions"]
    assert "Authorization: Bearer tf_first" in words
    body = json.loads(words[-1])
    assert (body["model"], body["stream"]) == ("demo", True)


def test_a_later_start_shows_no_key(capsys: pytest.CaptureFixture[str]) -> None:
    text = banner(capsys, Settings(providers=(PROVIDER, demo_provider())))
    assert "API key" not in text
    assert "Bearer YOUR_KEY" in text
    assert "OPENAI_API_KEY" not in text


def test_providers_and_aliases_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    alias = AliasSettings(name="fast", candidates=("내서버/model-1", "demo/demo"))
    text = banner(capsys, Settings(providers=(PROVIDER, demo_provider()), models=(alias,)))
    assert "내서버: model-0, model-1, model-2, model-3, model-4, model-5, and 2 more\n" in text
    assert "fast: 내서버/model-1 or demo/demo\n" in text
    assert "hidden" not in text


def test_without_the_demo_another_model_is_tried(capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(server=ServerSettings(demo=False), providers=(PROVIDER,))
    assert '"model": "model-0"' in banner(capsys, settings)


def test_without_any_model(capsys: pytest.CaptureFixture[str]) -> None:
    text = banner(capsys, Settings(server=ServerSettings(demo=False)))
    assert "No model is served." in text
    assert "curl" not in text


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://0.0.0.0:8000", "http://127.0.0.1:8000"),
        ("https://[::]:443", "https://[::1]:443"),
        ("http://10.0.0.5:80", "http://10.0.0.5:80"),
    ],
)
def test_an_address_for_everywhere_is_none_to_connect_to(
    capsys: pytest.CaptureFixture[str], url: str, here: str
) -> None:
    text = banner(capsys, Settings(providers=(demo_provider(),)), url)
    assert f"listens on {url}\n" in text
    assert f"browser: {here}/\n" in text
    assert f"curl -N {here}/v1" in text


def test_with_tls_of_one_s_own(capsys: pytest.CaptureFixture[str]) -> None:
    server = ServerSettings(tls_cert=Path("c"), tls_key=Path("k"))
    text = banner(capsys, Settings(server=server, providers=(demo_provider(),)), "https://h:1")
    assert "curl -N -k https://h:1/v1" in text


@pytest.mark.parametrize(
    ("on_path", "installed", "said"),
    [
        (True, True, "tokenferry"),
        (False, True, ".venv/bin/tokenferry"),
        (False, False, "tokenferry"),
    ],
)
def test_what_is_to_be_typed_is_what_a_shell_finds(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    on_path: bool,
    installed: bool,
    said: str,
) -> None:
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    if installed:
        (programs / "tokenferry").touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.executable", str(programs / "python"))
    monkeypatch.setenv("PATH", str(programs) if on_path else "/nowhere")
    settings = Settings(providers=(demo_provider(),))
    text = banner(capsys, settings, first_key="tf_first")
    assert f"More of them: {said} keys create NAME\n" in text
    assert f"(`{said} config reference` explains it)" in text
    (tmp_path / "another").mkdir()
    monkeypatch.chdir(tmp_path / "another")
    elsewhere = programs / "tokenferry" if said.startswith(".") else said
    text = banner(capsys, settings, first_key="tf_first")
    assert f"More of them: {elsewhere} keys create NAME\n" in text


def test_another_data_directory_is_in_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(
        server=ServerSettings(data_dir=Path("/my data")), providers=(demo_provider(),)
    )
    text = banner(capsys, settings, first_key="tf_first")
    assert "tokenferry keys create NAME --data-dir '/my data'\n" in text
