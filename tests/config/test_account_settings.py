from pathlib import Path

import pytest

from tokenferry.config import ConfigError, load

MAIL = """
[server]
public_url = "https://gateway.example.com/"
[mail]
smtp_host = "smtp.example.com"
sender = "Gateway@Example.com"
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "tokenferry.toml"
    path.write_text(text)
    return path


def faults(tmp_path: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text), environ)
    return [f"{line}: {message}" for line, message, _ in caught.value.faults]


def test_nobody_signs_up_unless_the_operator_says_so(tmp_path):
    settings = load(write(tmp_path, ""), {})
    assert settings.accounts.signup == "closed"
    assert settings.accounts.session_days == 30
    assert settings.mail.smtp_host == ""


def test_the_tables_are_read(tmp_path):
    text = MAIL + 'username = "u"\npassword = "env:SMTP"\n[accounts]\nsignup = "open"\n'
    settings = load(write(tmp_path, text), {"SMTP": "geheim"})
    assert settings.accounts.signup == "open"
    assert settings.server.public_url == "https://gateway.example.com"
    assert settings.mail.sender == "gateway@example.com"
    assert settings.mail.password.reveal() == "geheim"
    assert "geheim" in settings.secrets()
    assert "geheim" not in repr(settings)


def test_mail_needs_a_sender_and_an_address_for_its_links(tmp_path):
    assert faults(tmp_path, '[mail]\nsmtp_host = "smtp.example.com"\n') == [
        "2: [mail] has no `sender`",
        "2: [mail] is set without `public_url`, which links in mails begin with",
    ]


def test_a_user_goes_with_a_password(tmp_path):
    for line in ('username = "u"', 'password = "p"'):
        assert faults(tmp_path, f"{MAIL}{line}\n") == [
            "5: [mail] has one of `username` and `password`"
        ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[accounts]\nsignup = "maybe"', "2: `signup` of [accounts] is 'maybe'"),
        ("[accounts]\nsession_days = 0", "2: `session_days` of [accounts] is 0, out of range"),
        ("[accounts]\ntrusted_proxies = 11", "2: `trusted_proxies` of [accounts] is 11"),
        ('[mail]\nsender = "nobody"', "2: `sender` of [mail] is 'nobody', no e-mail address"),
        ('[mail]\nsecurity = "ssl"', "2: `security` of [mail] is 'ssl'"),
        ('[mail]\nsmtp_host = "a b"', "2: `smtp_host` of [mail] is 'a b'"),
        ('[server]\npublic_url = "x.kr"', "2: `public_url` of [server] is no URL"),
        ('[server]\npublic_url = "https://x.kr/?a"', "2: `public_url` of [server] has a query"),
    ],
)
def test_faults(tmp_path, text, fault):
    (found,) = faults(tmp_path, text)
    assert found.startswith(fault)
