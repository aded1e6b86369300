"""Bad files: every fault is found, with its line and its remedy, and all of them at once."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tokenferry.config import ConfigError, load

NO_VARIABLES: Mapping[str, str] = {}
PROVIDER = """
[[providers]]
name = "local"
kind = "openai"
base_url = "http://localhost:11434/v1"
models = ["exaone", "qwen"]
"""


def faults(path: Path, source: str | bytes, environ: Mapping[str, str] = NO_VARIABLES) -> list[str]:
    path.write_bytes(source.encode() if isinstance(source, str) else source)
    with pytest.raises(ConfigError) as caught:
        load(path, environ)
    assert str(caught.value) == "\n".join(caught.value.lines())
    return [line.replace(f"{path}:", "") for line in caught.value.lines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokenferry.toml"


SERVER = {
    "port = 70000": (
        "2: `port` of [server] is 70000, out of range -> write an integer within 0..65535"
    ),
    'port = "8000"': "2: `port` of [server] is a string, not an integer -> write an integer within",
    'hots = "x"': "2: `hots` is no setting of [server] -> did you mean `host`?",
    "frobnicate = 1": "2: `frobnicate` is no setting of [server] -> remove it; docs/reference/",
    'log_level = "verbose"': "2: `log_level` of [server] is 'verbose' -> write one of \"debug\", ",
    'tls_cert = "none.pem"': "2: `tls_cert` of [server] names ",
    "frame_bytes_max = 16777217": "2: `frame_bytes_max` of [server] is 16777217, out of range",
    "stream_bytes_max = 67108864": (
        "2: `stream_bytes_max` of [server] is 67108864, out of range -> write an integer within "
        "65536..65011712"
    ),
    "body_bytes_max = 67108865": "2: `body_bytes_max` of [server] is 67108865, out of range",
    "\n\nheartbeat_s = 0": "4: `heartbeat_s` of [server] is 0, out of range -> write a number of",
    'origins = [\n  "https://a.example",\n  "b"]': (
        "4: `origins` of [server] has an item that is no"
    ),
    "journal_bytes_max = 1048576": (
        "`stream_bytes_max` (4194304) is above `journal_bytes_max` (1048576) -> lower"
    ),
    'metrics_public = "yes"': "2: `metrics_public` of [server] is a string, not a boolean -> write",
    'data_dir = ""': "2: `data_dir` of [server] is '', not a path -> write a path in quotes",
}


@pytest.mark.parametrize("line", SERVER)
def test_server(path: Path, line: str) -> None:
    (fault,) = faults(path, f"[server]\n{line}\n")
    assert fault.startswith(SERVER[line])


COMPLETE = 'name = "x"\nkind = "openai"\nbase_url = "http://h/v1"\nmodels = ["m"]\n'
PROVIDERS = {
    'kind = "openai"\nbase_url = "http://h/v1"\nmodels = ["m"]': (
        '1: [[providers]] has no `name` -> add name = "…"'
    ),
    'name = "x"': '1: provider \'x\' has no `kind` -> add kind = "openai", "anthropic" or "gemini"',
    'name = "x"\nkind = "openai"\nmodels = ["m"]': (
        "1: provider 'x' has no `base_url` -> add base_url = \"https://…/v1\""
    ),
    'name = "x"\nkind = "openai"\nbase_url = "http://h/v1"': (
        "1: provider 'x' has no `models` -> add models = [\"…\"]"
    ),
    'name = "x"\nkind = "open-ai"\nmodels = ["m"]': (
        '3: `kind` of provider \'x\' is \'open-ai\' -> write one of "openai", "anthropic", "gemini"'
    ),
    'name = "a/b"\nkind = "openai"\nbase_url = "http://h/v1"\nmodels = ["m"]': (
        "2: `name` of provider 'a/b' is 'a/b' -> write it without `/`"
    ),
    'name = "x"\nkind = "openai"\nbase_url = "h:1/v1"\nmodels = ["m"]': (
        "4: `base_url` of provider 'x' is no URL of that kind -> write http:// or https://"
    ),
    'name = "x"\nkind = "openai"\nbase_url = "http://h/v1"\nmodels = []': (
        "5: `models` of provider 'x' has 0 items -> write 1..1000 of them"
    ),
    'name = "x"\nkind = "openai"\nbase_url = "http://h/v1"\nmodels = [\n"m",\n"m"]': (
        "7: `models` of provider 'x' has 'm' twice -> remove one of them"
    ),
    COMPLETE + 'api_key = "env:NO_KEY"': (
        "6: `api_key` of provider 'x' names the environment variable NO_KEY, which is not set -> "
        "set NO_KEY where tokenferry is started"
    ),
    COMPLETE + 'on_cancel = "stop"': (
        '6: `on_cancel` of provider \'x\' is \'stop\' -> write one of "auto", "close", "drain"'
    ),
    COMPLETE + '[providers.headers]\nHost = "h"': (
        "7: `headers` of provider 'x' has 'Host', which the gateway sets itself -> remove it"
    ),
    'name = "openai"\nmodels = ["gpt-4.1"]': (
        "1: provider 'openai' has no key -> set OPENAI_API_KEY, or add api_key "
        '= "env:OPENAI_API_KEY"'
    ),
    'name = "claude"\nkind = "anthropic"\nmodels = ["m"]': (
        "1: provider 'claude' has no key -> add api_key = \"env:ANTHROPIC_API_KEY\""
    ),
    'name = "openai"\napi_key = ""\nmodels = ["gpt-4.1"]': (
        "1: provider 'openai' has no key -> add api_key = \"env:OPENAI_API_KEY\""
    ),
    # DeepSeek's second server is not the one whose address is known.
    'name = "deepseek"\nkind = "anthropic"\nmodels = ["m"]': (
        "1: provider 'deepseek' has no `base_url` -> add base_url ="
    ),
    'name = "demo"\nkind = "openai"\nbase_url = "http://h/v1"\nmodels = ["m"]': (
        "2: `demo` is the built-in provider -> choose another name"
    ),
    'name = 5\nkind = "openai"\nbase_url = "http://h/v1"\nmodels = ["m"]': (
        "2: `name` of [[providers]] is an integer, not a string -> write it in quotes"
    ),
    COMPLETE + 'modells = ["m"]': (
        "6: `modells` is no setting of provider 'x' -> did you mean `models`?"
    ),
}


@pytest.mark.parametrize("table", PROVIDERS)
def test_provider(path: Path, table: str) -> None:
    first, *others = faults(path, f"[[providers]]\n{table}\n")
    assert first.startswith(PROVIDERS[table])
    # A provider of which nothing is known but its name lacks more than one thing.
    assert bool(others) == (table == 'name = "x"')


def test_two_providers_of_one_name(path: Path) -> None:
    assert faults(path, PROVIDER + PROVIDER) == [
        "9: there are two providers 'local' -> choose another name"
    ]


ALIASES = {
    'candidates = ["local/qwen"]': '8: [[models]] has no `name` -> add name = "…"',
    'name = "fast"': "8: alias 'fast' has no `candidates` -> add candidates = [\"provider/model\"]",
    'name = "fast"\ncandidates = []': "10: `candidates` of alias 'fast' has 0 items -> write 1..16",
    'name = "fast"\ncandidates = [\n"local/qwen",\n"local/quen"]': (
        "12: alias 'fast': provider 'local' has no model 'quen' -> did you mean `qwen`?"
    ),
    'name = "fast"\ncandidates = ["local/gpt-4.1"]': (
        "10: alias 'fast': provider 'local' has no model 'gpt-4.1' -> add it "
        "to the `models` of 'local'"
    ),
    'name = "fast"\ncandidates = ["locl/qwen"]': (
        "10: alias 'fast': no provider is called 'locl' -> did you mean `local`?"
    ),
    'name = "fast"\ncandidates = ["mars/qwen"]': (
        "10: alias 'fast': no provider is called 'mars' -> add it as [[providers]]"
    ),
    'name = "fast"\ncandidates = ["deepseek/deepseek-flash"]': (
        "10: alias 'fast': no provider is called 'deepseek' -> set DEEPSEEK_API_KEY, or add it as"
    ),
    'name = "fast"\ncandidates = ["qwen"]': (
        "10: alias 'fast': 'qwen' names no provider -> write \"local/qwen\""
    ),
    'name = "fast"\ncandidates = ["unheard"]': (
        "10: alias 'fast': 'unheard' names no provider -> write \"provider/model\""
    ),
    'name = "fast"\ncandidates = ["local/qwen", "local/qwen"]': (
        "10: `candidates` of alias 'fast' has 'local/qwen' twice -> remove one of them"
    ),
    'name = "qwen"\ncandidates = ["local/qwen"]': (
        "9: the alias 'qwen' is the name of a model -> choose another name"
    ),
    'name = "local/qwen"\ncandidates = ["local/qwen"]': (
        "9: the alias 'local/qwen' is the name of a model -> choose another name"
    ),
    'name = "demo"\ncandidates = ["local/qwen"]': (
        "9: the alias 'demo' is the name of a model -> choose another name"
    ),
    'name = "a"\ncandidates = ["local/qwen"]\n[[models]]\nname = "a"\ncandidates = ["demo/demo"]': (
        "12: there are two aliases 'a' -> join them"
    ),
    'name = "fast"\ncandidate = "x"\ncandidates = ["local/qwen"]': (
        "10: `candidate` is no setting of alias 'fast' -> did you mean `candidates`?"
    ),
}


@pytest.mark.parametrize("table", ALIASES)
def test_alias(path: Path, table: str) -> None:
    (fault,) = faults(path, f"{PROVIDER}\n[[models]]\n{table}\n")
    assert fault.startswith(ALIASES[table])


def test_candidates_of_a_faulty_provider_are_not_blamed(path: Path) -> None:
    source = (
        PROVIDER.replace('["exaone", "qwen"]', "[5]")
        + '[[models]]\nname = "fast"\ncandidates = ["local/anything"]\n'
    )
    (fault,) = faults(path, source)
    assert fault.startswith("6: `models` of provider 'local'")


SHAPES = {
    "port = 1": "1: `port` means nothing at the top level -> put it below a line [server]",
    "[sever]\nport = 1": "1: `sever` means nothing at the top level -> did you mean `server`?",
    "[database]": "1: `database` means nothing at the top level -> remove it; there are server,",
    "[[server]]\nport = 1": "1: `server` is an array of tables -> write [server], with single",
    "server = 1": "1: `server` is an integer, not a table -> write [server], with single brackets",
    '[providers]\nname = "x"': (
        "1: `providers` is a table, not an array of tables -> write [[providers]], with double"
    ),
    "providers = [\n1]": (
        "2: `providers` has an item that is an integer -> write [[providers]], with"
    ),
    "models = 1": "1: `models` is an integer, not an array of tables -> write [[models]], with",
    "port = = 1": "1: this is not TOML: invalid value -> correct the line",
    "[server]\nhost = local": "2: this is not TOML: invalid value -> correct the line",
    "[server]\n[server]": "2: [server] is there twice -> put the lines of both below one of them",
    "[limits.models.'m 1']\n[limits.models.'m 1']": "2: [limits.models.m 1] is there twice -> ",
    "[server]\nport = 1\nport = 2\n": "3: this key is there twice -> keep one of the two lines",
    'a = "\n': "1: this is not TOML: illegal character",
    "a = [1,\n2\n\n": "2: this is not TOML: ",
    f"a = {'[' * 5000}{']' * 5000}": "1: ",
}


@pytest.mark.parametrize("source", SHAPES, ids=range(len(SHAPES)))
def test_shape(path: Path, source: str) -> None:
    first, *_ = faults(path, source)
    assert first.startswith(SHAPES[source])


def test_a_file_in_another_encoding(path: Path) -> None:
    (fault,) = faults(path, '# one\nname = "한국"\n'.encode("euc-kr"))
    assert fault == "2: the file is not UTF-8 -> save it as UTF-8"


def test_all_faults_at_once_in_the_order_of_the_file(path: Path) -> None:
    source = """\
prot = 1
[server]
port = 70000
host = ""
[[providers]]
name = "openai"
kind = "openai"
api_key = "env:NOPE"
models = []
[[models]]
name = "fast"
candidates = ["demo/demoo", "nobody/x"]
[server.log]
"""
    *found, last = faults(path, source, {"TOKENFERRY_LOG_LEVEL": "loud"})
    lines = [fault.partition(":")[0] for fault in found]
    assert lines == ["1", "3", "4", "8", "9", "12", "12", "13"]
    assert last.startswith("the environment variable TOKENFERRY_LOG_LEVEL is 'loud' -> write one")


def test_limits_of_the_number_of_tables(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokenferry.config.tables.PROVIDERS_MAX", 2)
    tables = [PROVIDER.replace("local", f"local-{number}") for number in range(3)]
    path.write_text("".join(tables[:2]))
    assert len(load(path, NO_VARIABLES).providers) == 3  # with demo
    assert faults(path, "".join(tables)) == ["14: there are 3 [[providers]] -> keep 2"]


def test_a_secret_is_in_no_fault(path: Path) -> None:
    source = (
        '[[providers]]\nname = "x"\nkind = "openai"\nmodels = ["m"]\n'
        'base_url = "https://u:hidden@h/v1"\napi_key = "sk-hidden key"\n'
        'proxy = "socks5://u:hidden@p"\nheaders = { x = "hidden\\n" }\n'
    )
    found = faults(path, source)
    assert len(found) == 4
    assert "hidden" not in "".join(found)


# -- routing ----------------------------------------------------------------------------------

ALIAS = '[[models]]\nname = "both"\ncandidates = ["local/exaone", "local/qwen"]\n'


def test_an_alias_with_a_strategy_and_weights(path: Path) -> None:
    path.write_text(f'{PROVIDER}\n{ALIAS}strategy = "weighted"\nweights = [3, 0]\n')
    (alias,) = load(path, NO_VARIABLES).models
    assert (alias.strategy, alias.weights) == ("weighted", (3, 0))


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ("weights = [1, 1]", "has weights, and its strategy 'ordered' does not weigh"),
        ('strategy = "least_loaded"\nweights = [1]', "has 1 weights for 2 candidates"),
        ('strategy = "weighted"\nweights = [0, 0]', "has no weight above 0"),
        ('strategy = "weighted"\nweights = [1, -1]', "has an item that is -1, out of range"),
        ('strategy = "fastest"', "is 'fastest' -> write one of"),
    ],
)
def test_weights_that_weigh_nothing(path: Path, lines: str, fault: str) -> None:
    (told,) = faults(path, f"{PROVIDER}\n{ALIAS}{lines}\n")
    assert fault in told


def test_several_keys_in_place_of_one_and_beside_it(path: Path) -> None:
    keys = 'api_keys = ["env:A", "two"]\n'
    environ = {"A": "one", "OPENAI_API_KEY": "usual"}
    path.write_text(f'[[providers]]\nname = "openai"\nmodels = ["m"]\n{keys}')
    provider = load(path, environ).providers[0]
    assert [key.reveal() for key in provider.keys] == ["one", "two"]
    path.write_text(f'[[providers]]\nname = "openai"\nmodels = ["m"]\napi_key = "two"\n{keys}')
    settings = load(path, environ)
    assert [key.reveal() for key in settings.providers[0].keys] == ["two", "one"]
    assert {"one", "two"} <= set(settings.secrets())
    path.write_text(PROVIDER)
    assert [key.reveal() for key in load(path, environ).providers[0].keys] == [""]


def test_a_key_that_is_there_twice_is_not_repeated_in_the_report(path: Path) -> None:
    (told,) = faults(path, f'{PROVIDER}api_keys = ["sk-hidden", "sk-hidden"]\n')
    assert "has a key twice -> remove one of them" in told
    assert "sk-hidden" not in told
