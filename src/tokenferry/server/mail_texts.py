"""What mails say, in English and in Korean.

The link's token stands behind `#`, which a browser keeps to itself: no log of a server has it.
"""

from typing import NamedTuple

from tokenferry.domain.account import Language
from tokenferry.engine.links import Kind, Letter

PAGE = "/account"


class Text(NamedTuple):
    """A mail's subject and its text."""

    subject: str
    body: str


_TEXTS: dict[tuple[Kind, Language], Text] = {
    ("verify", "en"): Text(
        "Confirm your e-mail address",
        """\
Hello,

somebody, probably you, signed up at {where} with this address.
Follow this link to confirm it, and to choose the account's password:

{link}

The link is good for 48 hours, once. If you did not sign up, do nothing:
without the link the account is not opened.
""",
    ),
    ("verify", "ko"): Text(
        "이메일 주소를 확인해 주세요",
        """\
안녕하세요.

{where}에서 이 주소로 가입 신청이 있었습니다.
아래 링크를 열어 주소를 확인하고 계정의 비밀번호를 정해 주세요.

{link}

링크는 48시간 동안 한 번만 쓸 수 있습니다. 직접 신청하지 않으셨다면
아무것도 하지 않으셔도 됩니다. 링크를 열지 않으면 계정은 열리지 않습니다.
""",
    ),
    ("reset", "en"): Text(
        "Choose a new password",
        """\
Hello,

somebody, probably you, asked for a new password at {where}.
Follow this link to choose one:

{link}

The link is good for one hour, once. If you did not ask, do nothing:
your password stays as it is.
""",
    ),
    ("reset", "ko"): Text(
        "새 비밀번호를 정해 주세요",
        """\
안녕하세요.

{where}에서 비밀번호 재설정 요청이 있었습니다.
아래 링크를 열어 새 비밀번호를 정해 주세요.

{link}

링크는 한 시간 동안 한 번만 쓸 수 있습니다. 직접 요청하지 않으셨다면
아무것도 하지 않으셔도 됩니다. 비밀번호는 그대로 유지됩니다.
""",
    ),
    ("known", "en"): Text(
        "You have an account already",
        """\
Hello,

somebody, probably you, signed up at {where}
with this address, which has an account already. Log in with your password.
If you have forgotten it, follow this link to choose a new one:

{link}

The link is good for one hour, once. If you did not sign up, do nothing:
nothing has changed.
""",
    ),
    ("known", "ko"): Text(
        "이미 계정이 있습니다",
        """\
안녕하세요.

{where}에서 이 주소로 가입 신청이 있었지만, 이 주소로 만든 계정이 이미
있습니다. 기존 비밀번호로 로그인해 주세요. 비밀번호를 잊으셨다면 아래 링크를
열어 새로 정할 수 있습니다.

{link}

링크는 한 시간 동안 한 번만 쓸 수 있습니다. 직접 신청하지 않으셨다면
아무것도 하지 않으셔도 됩니다. 바뀐 것은 없습니다.
""",
    ),
}


def text_of(letter: Letter, public_url: str) -> Text:
    """Return what a mail says.

    Args:
        letter: The mail.
        public_url: Where people reach the server, without a slash at its end.
    """
    text = _TEXTS[letter.kind, letter.language]
    what = "verify" if letter.kind == "verify" else "reset"
    link = f"{public_url}{PAGE}#{what}={letter.token}"
    return Text(text.subject, text.body.format(where=public_url, link=link))
