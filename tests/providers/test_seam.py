"""Where the rest of an answer meets its beginning."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.errors import ProviderCutOff
from tokenferry.protocol.chat import Delta
from tokenferry.providers.seam import SeamSink


class Recording:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.calls.append((name, *args))

    @property
    def words(self) -> str:
        return "".join(call[1] for call in self.calls if call[0] == "text")


def fed(repeated: str, pieces: list[str], *, as_whole: bool) -> Recording:
    sink = Recording()
    seam = SeamSink(sink, repeated, as_whole=as_whole)
    for piece in pieces:
        seam.text(piece)
    seam.finish(0, "stop")
    seam.end()
    assert [call[0] for call in sink.calls[-2:]] == ["finish", "end"]
    return sink


@pytest.mark.parametrize(
    ("shown", "said", "new"),
    [
        ("\n\n", "\n\nfoo", "foo"),
        ("\n", "\n\nfoo", "\nfoo"),
        ("\n\n", "\nfoo", "foo"),
        (" ", "foo", "foo"),
        (" ", "\nfoo", "\nfoo"),
        (" \n", " foo", "foo"),
        (" ", " ", ""),
        (" ", "", ""),
    ],
)
def test_white_space_is_dropped_as_far_as_it_comes_again(shown: str, said: str, new: str) -> None:
    assert fed(shown, [said], as_whole=False).words == new
    assert fed(shown, list(said), as_whole=False).words == new


@pytest.mark.parametrize(
    ("beginning", "said", "new"),
    [
        ("The cat", "The cat sat", " sat"),
        ("The cat", " sat", " sat"),
        ("The cat", "The dog", "The dog"),
        ("The cat", "The", "The"),
        ("The cat", "The cat", ""),
        ("The cat", "", ""),
    ],
)
def test_a_beginning_is_dropped_as_a_whole_or_not_at_all(
    beginning: str, said: str, new: str
) -> None:
    assert fed(beginning, [said], as_whole=True).words == new
    assert fed(beginning, list(said), as_whole=True).words == new


@given(st.text("ab", min_size=1, max_size=6), st.lists(st.text("ab", max_size=4)))
def test_however_it_is_cut(beginning: str, pieces: list[str]) -> None:
    said = "".join(pieces)
    assert fed(beginning, pieces, as_whole=True).words == said.removeprefix(beginning)


def test_a_repetition_that_is_cut_off_is_not_shown() -> None:
    sink = Recording()
    seam = SeamSink(sink, "The cat", as_whole=True)
    seam.text("The c")
    error = ProviderCutOff("cut off")
    seam.fail(error)
    assert sink.calls == [("fail", error)]


def test_text_in_a_delta_is_looked_at_as_well() -> None:
    sink = Recording()
    seam = SeamSink(sink, "ab", as_whole=True)
    seam.delta(0, Delta(content="a", refusal="r"))
    seam.delta(0, Delta(content="bc"))
    seam.delta(0, Delta(content="ab"))
    contents = [call[2].content for call in sink.calls]
    assert contents == ["", "c", "ab"]
    assert sink.calls[0][2].refusal == "r"


def test_the_rest_passes() -> None:
    sink = Recording()
    seam = SeamSink(sink, "a", as_whole=True)
    seam.head("m", None, None)
    seam.reasoning("a")
    seam.usage("u")  # type: ignore[arg-type] -- it is only passed on
    assert sink.calls == [("head", "m", None, None), ("reasoning", "a"), ("usage", "u")]
