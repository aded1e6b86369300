"""One question at the terminal, and who leaves in the middle of its answer."""

from collections.abc import Iterator
from typing import Any, cast

import pytest

from tokenferry.cli.chat_answer import PlainView, ask
from tokenferry.cli.chat_conversation import Conversation
from tokenferry.cli.chat_words import WORDS
from tokenferry_client import Answer, Chunk, Tokenferry


class Stream:
    """An answer of two pieces, as the client gives it."""

    def __init__(self) -> None:
        self.answer = Answer()
        self.closed = False

    def events(self) -> Iterator[Chunk]:
        for seq, text in enumerate(("가", "나"), 1):
            chunk = Chunk("a", text, {"content": text}, 0, 1, seq)
            self.answer.add(chunk)
            yield chunk

    def close(self) -> None:
        self.closed = True


class Client:
    """A client of one stream."""

    def __init__(self) -> None:
        self.given = Stream()

    def stream(self, **_: Any) -> Stream:
        return self.given


class Gone:
    """A reader that has had enough, as `head` has."""

    status = ""

    def feed(self, text: str) -> None:
        raise BrokenPipeError(text)

    def replace(self, text: str) -> None:
        raise BrokenPipeError(text)


def test_an_answer_whose_reader_has_gone_is_stopped_at_the_gateway() -> None:
    client = Client()
    conversation = Conversation("demo")
    with pytest.raises(BrokenPipeError):
        ask(cast("Tokenferry", client), conversation, "?", Gone(), WORDS["en"])
    assert client.given.closed


@pytest.mark.parametrize(
    ("texts", "written"),
    [
        (["ab"], "ab"),
        (["abc"], "abc"),
        # What was written stands; the answer that it gave way to is whole behind it.
        (["a", "x"], "ab\nax"),
        (["abc", "abcd"], "abcd"),
    ],
)
def test_what_was_written_is_not_written_again(
    capsys: pytest.CaptureFixture[str], texts: list[str], written: str
) -> None:
    view = PlainView()
    view.feed("ab")
    first, *rest = texts
    view.replace(first)
    for text in rest:
        if text.startswith(first):
            view.replace(text)
        else:
            view.feed(text)
    assert capsys.readouterr().out == written
