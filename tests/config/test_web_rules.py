"""Credentials, headers and addresses."""

import copy
import pickle
from pathlib import Path

import pytest

from tokenferry.config.rules import Refused, Rule, Surroundings
from tokenferry.config.web_rules import (
    BaseUrl,
    CollectorUrl,
    Credential,
    Credentials,
    Headers,
    Origin,
    ProxyUrl,
    Secret,
)

ENVIRON = {"KEY": "sk-from-environment\n", "EMPTY": " ", "KOREAN": "열쇠"}
AROUND = Surroundings(ENVIRON, Path())


def refusal(rule: Rule, value: object) -> str:
    with pytest.raises(Refused) as caught:
        rule.read(value, AROUND)
    return f"{caught.value.problem} -> {caught.value.remedy}"


class TestSecret:
    def test_it_is_shown_on_request_only(self) -> None:
        secret = Secret("sk-hidden")
        assert secret.reveal() == "sk-hidden"
        for text in (repr(secret), str(secret), f"{secret}", f"{[secret]}", "%s" % secret):  # noqa: UP031
            assert "hidden" not in text

    def test_it_is_true_when_there_is_one(self) -> None:
        assert Secret("x")
        assert not Secret("")
        assert repr(Secret("")) == "Secret('')"

    def test_equality_is_that_of_the_texts(self) -> None:
        assert Secret("a") == Secret("a") != Secret("b")
        assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
        assert Secret("a") != "a"

    def test_it_is_not_written_to_a_file(self) -> None:
        with pytest.raises(TypeError):
            pickle.dumps(Secret("a"))
        with pytest.raises(TypeError):
            copy.deepcopy(Secret("a"))


class TestCredential:
    @pytest.mark.parametrize(
        ("value", "stored"),
        [
            ("env:KEY", "sk-from-environment"),
            ("sk-literal", "sk-literal"),
            ("", ""),
            ("gsk_lower", "gsk_lower"),
            ("ABCDEF", "ABCDEF"),
        ],
    )
    def test_accepted(self, value: str, stored: str) -> None:
        assert Credential().read(value, AROUND) == Secret(stored)

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("env:NOPE", "names the environment variable NOPE, which is not set -> set NOPE"),
            ("env:EMPTY", "names the environment variable EMPTY, which is not set"),
            ("env:", "has `env:` without a variable's name"),
            ("env:a b", "has `env:` without a variable's name"),
            ("$OPENAI_API_KEY", 'reads like the name of a variable -> write "env:OPENAI_API_KEY"'),
            ("${KEY}", 'reads like the name of a variable -> write "env:KEY"'),
            ("OPENAI_API_KEY", 'reads like the name of a variable -> write "env:OPENAI_API_KEY"'),
            ("env:KOREAN", "has a space or a character that no key has"),
            ("sk-a b", "has a space or a character that no key has"),
            ("sk-a\nx: y", "has a space or a character that no key has"),
            (5, "is an integer, not a string"),
        ],
    )
    def test_refused(self, value: object, expected: str) -> None:
        assert refusal(Credential(), value).startswith(expected)

    def test_a_refusal_does_not_repeat_the_key(self) -> None:
        assert "sk-hidden" not in refusal(Credential(), "sk-hidden key")


class TestCredentials:
    def test_each_is_read_like_one(self) -> None:
        keys = Credentials(3).read(["env:KEY", "sk-2"], AROUND)
        assert [key.reveal() for key in keys] == ["sk-from-environment", "sk-2"]
        assert Credentials(3).read([], AROUND) == ()

    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            ("env:KEY", "is a string, not an array"),
            (["a", "b", "c", "d"], "has 4 keys -> write at most 3"),
            (["a", ""], "has an item that is empty"),
            (["a", "a"], "has a key twice"),
            (["a", 1], "has an item that is an integer"),
            (["a", "env:NONE"], "names the environment variable NONE, which is not set"),
        ],
    )
    def test_what_is_no_list_of_keys(self, value: object, problem: str) -> None:
        assert problem in refusal(Credentials(3), value)

    def test_the_range_names_the_forms(self) -> None:
        assert Credentials(3).range() == 'at most 3, each "env:NAME" or the key itself'


class TestHeaders:
    rule = Headers(2)

    def test_accepted(self) -> None:
        table = {"OpenAI-Organization": "org 1", "x-key": "env:KEY"}
        assert self.rule.read(table, AROUND) == (
            ("openai-organization", Secret("org 1")),
            ("x-key", Secret("sk-from-environment")),
        )

    @pytest.mark.parametrize(
        ("table", "expected"),
        [
            ([], "is an array, not a table"),
            ({"a": "1", "b": "2", "c": "3"}, "has 3 headers -> write at most 2"),
            ({"a b": "1"}, "has 'a b', which is no header name"),
            ({"": "1"}, "has '', which is no header name"),
            ({"Host": "x"}, "has 'Host', which the gateway sets itself -> remove it"),
            ({"content-LENGTH": "1"}, "has 'content-LENGTH', which the gateway sets itself"),
            ({"x": 5}, "has 'x', whose value is an integer"),
            ({"x": "a\r\nb: c"}, "has 'x', whose value is not printable ASCII"),
            ({"x": "한국"}, "has 'x', whose value is not printable ASCII"),
            ({"x": "env:NOPE"}, "names the environment variable NOPE, which is not set"),
        ],
    )
    def test_refused(self, table: object, expected: str) -> None:
        assert refusal(self.rule, table).startswith(expected)

    def test_all_wrong_headers_are_reported(self) -> None:
        with pytest.raises(Refused) as caught:
            self.rule.read({"host": "x", "te": "y"}, AROUND)
        assert [one.inside for one in (caught.value, *caught.value.also)] == [("host",), ("te",)]


class TestBaseUrl:
    @pytest.mark.parametrize(
        ("value", "stored"),
        [
            ("https://api.openai.com/v1", "https://api.openai.com/v1"),
            ("https://api.openai.com/v1///", "https://api.openai.com/v1"),
            ("http://localhost:11434/", "http://localhost:11434"),
            ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ],
    )
    def test_accepted(self, value: str, stored: str) -> None:
        assert BaseUrl().read(value, AROUND) == stored

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("localhost:11434/v1", "is no URL of that kind -> write http:// or https:// and a"),
            ("ftp://host/v1", "is no URL of that kind"),
            ("https://", "is no URL of that kind"),
            ("https:///v1", "is no URL of that kind"),
            ("https://host:port/v1", "is no URL of that kind"),
            ("https://host:0/v1", "is no URL of that kind"),
            ("https://host:70000/v1", "is no URL of that kind"),
            ("https://[::1/v1", "is no URL of that kind"),
            ("https://host/v1?key=abc", "has a query or a fragment"),
            ("https://host/v1#a", "has a query or a fragment"),
            ("https://user:hidden@host/v1", "has a user name in it"),
            ("https://호스트/v1", "has a character that no URL has"),
            ("https://host/a b", "has a character that no URL has"),
            ("https://host/v1\n", "has a character that no URL has"),
            (5, "is an integer, not a string"),
        ],
    )
    def test_refused(self, value: object, expected: str) -> None:
        message = refusal(BaseUrl(), value)
        assert message.startswith(expected)
        assert "hidden" not in message


def test_a_collectors_credential_has_a_place_of_its_own() -> None:
    assert CollectorUrl().read("", AROUND) == ""
    assert CollectorUrl().read("http://c:4318/", AROUND) == "http://c:4318"
    message = refusal(CollectorUrl(), "http://user:hidden@c:4318")
    assert "OTEL_EXPORTER_OTLP_HEADERS" in message
    assert "hidden" not in message


class TestProxyUrl:
    @pytest.mark.parametrize(
        ("value", "stored"),
        [
            ("env", "env"),
            ("", None),
            ("http://proxy:3128", "http://proxy:3128"),
            ("http://user:pass@proxy:3128/", "http://user:pass@proxy:3128/"),
        ],
    )
    def test_accepted(self, value: str, stored: str | None) -> None:
        assert ProxyUrl().read(value, AROUND) == stored

    @pytest.mark.parametrize(
        "value",
        ["none", "socks5://u:hidden@proxy", "https://u:hidden@proxy", "http://u:hidden@proxy/x"],
    )
    def test_refused_without_the_password(self, value: str) -> None:
        assert "hidden" not in refusal(ProxyUrl(), value)


class TestOrigin:
    @pytest.mark.parametrize(
        ("value", "stored"),
        [
            ("*", "*"),
            ("https://app.example", "https://app.example"),
            ("https://APP.example/", "https://app.example"),
            ("https://app.example:443", "https://app.example"),
            ("http://app.example:80", "http://app.example"),
            ("https://app.example:80", "https://app.example:80"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://[::1]:3000", "http://[::1]:3000"),
        ],
    )
    def test_stored_as_browsers_send_it(self, value: str, stored: str) -> None:
        assert Origin().read(value, AROUND) == stored

    @pytest.mark.parametrize(
        "value",
        ["app.example", "https://app.example/chat", "https://*.example?x", "null", "ws://app", 5],
    )
    def test_refused(self, value: object) -> None:
        refusal(Origin(), value)
