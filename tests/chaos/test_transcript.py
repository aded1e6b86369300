"""The judge of the chaos run must see every fault that it is there for."""

from typing import Any

import pytest
from chaos.script import Script, parse, token
from chaos.transcript import FAULTS, Book, Tally, Transcript

SCRIPT = Script("abc", 5, 0)
END = SCRIPT.records


def usage(**changes: Any) -> dict[str, Any]:
    tokens = SCRIPT.prompt_tokens
    counts = {"prompt_tokens": tokens, "completion_tokens": 5, "total_tokens": tokens + 5}
    return counts | changes


def done(**changes: Any) -> dict[str, Any]:
    return {"finish_reason": "stop", "usage": usage()} | changes


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def lane(book: Book) -> Transcript:
    transcript = Transcript(SCRIPT, book, leads=True)
    transcript.started("st_1", 1)
    return transcript


def give(lane: Transcript, *seqs: int, epoch: int = 1) -> list[bool]:
    return [lane.chunk(epoch, seq, seq, SCRIPT.text(seq, seq)) for seq in seqs]


def faults(book: Book) -> dict[str, int]:
    return {kind: count for kind, count in book.tally.items() if kind in FAULTS}


class TestScript:
    def test_tokens_are_the_same_for_everybody_and_differ(self) -> None:
        tokens = [token("abc", index) for index in range(500)]
        assert tokens == [token("abc", index) for index in range(500)]
        assert all(tokens)
        assert len(set(tokens)) > 490
        assert token("abd", 0) != token("abc", 0)
        assert max(map(len, tokens)) > 100
        assert min(map(len, tokens)) < 3

    def test_a_prompt_orders_its_script(self) -> None:
        assert parse(f'{{"content": "{SCRIPT.prompt}"}}') == SCRIPT
        assert parse("hello") is None

    def test_the_head_record_says_nothing(self) -> None:
        assert SCRIPT.text(1, 1) == ""
        assert SCRIPT.text(1, 3) == token("abc", 0) + token("abc", 1)


class TestGood:
    def test_a_whole_stream(self, book: Book, lane: Transcript) -> None:
        assert all(give(lane, *range(1, END)))
        assert lane.terminal(1, END, done())
        assert lane.over
        assert book.tally["completed"] == 1
        assert faults(book) == {}

    def test_merged_chunks(self, book: Book, lane: Transcript) -> None:
        assert lane.chunk(1, 1, 1, "")
        assert lane.chunk(1, 2, 6, SCRIPT.text(2, 6))
        assert lane.terminal(1, END, done())
        assert faults(book) == {}

    def test_a_resume(self, book: Book, lane: Transcript) -> None:
        give(lane, 1, 2, 3)
        lane.resumed({"epoch": 1, "from": 3, "head": 5})
        give(lane, 4, 5)
        lane.caught_up(5)
        assert faults(book) == {}

    def test_a_reset_that_takes_nothing_back(self, book: Book, lane: Transcript) -> None:
        give(lane, 1, 2, 3)
        lane.reset(2, 3)
        give(lane, 4, epoch=2)
        lost = {"finish_reason": "error", "error": {"code": "upstream_lost"}, "usage": usage()}
        assert lane.terminal(2, 5, lost)
        assert book.tally["ended in upstream_lost"] == 1
        assert faults(book) == {}

    def test_a_second_reader_counts_no_second_stream(self, book: Book, lane: Transcript) -> None:
        give(lane, *range(1, END))
        lane.terminal(1, END, done())
        reader = Transcript(SCRIPT, book, leads=False)
        reader.stream_id, reader.epoch = "st_1", 1
        reader.resumed({"epoch": 1, "from": 0, "head": END})
        give(reader, *range(1, END))
        reader.terminal(1, END, done())
        reader.caught_up(END)
        assert book.tally["completed"] == 1
        assert faults(book) == {}

    def test_readers_who_are_told_less(self, book: Book, lane: Transcript) -> None:
        give(lane, *range(1, END))
        lane.terminal(1, END, done())
        silent, late = (Transcript(SCRIPT, book, leads=False) for _ in range(2))
        silent.told_usage = False
        silent.started("st_1", 1)
        give(silent, *range(1, END))
        silent.terminal(1, END, done(usage=None))
        late.kept(SCRIPT.text(1, END - 1), done())
        assert faults(book) == {}

    def test_an_error_in_place_of_the_stream(self, book: Book, lane: Transcript) -> None:
        assert not lane.failed("invalid_value")
        assert lane.failed("upstream_lost")
        assert lane.over
        assert book.tally["ended in upstream_lost"] == 1

    def test_a_snapshot(self, book: Book, lane: Transcript) -> None:
        message = {"message": {"content": SCRIPT.text(1, 6)}, "through": END, "epoch": 1}
        lane.snapshot(message | done())
        assert faults(book) == {}


class TestFaults:
    def test_a_skipped_record_asks_for_a_resume(self, book: Book, lane: Transcript) -> None:
        assert give(lane, 1, 2, 4) == [True, True, False]
        lane.resumed({"epoch": 1, "from": 2, "head": 5})
        assert all(give(lane, 3, 4, 5))
        assert faults(book) == {"gaps": 1}

    def test_a_gap_that_a_resume_does_not_fill_is_lost(self, book: Book, lane: Transcript) -> None:
        give(lane, 1, 2, 5)
        lane.resumed({"epoch": 1, "from": 2, "head": 5})
        assert give(lane, 5) == [True]
        assert faults(book) == {"gaps": 2, "lost": 2}

    def test_a_record_that_comes_late(self, book: Book, lane: Transcript) -> None:
        give(lane, 1, 3, 2)
        assert faults(book) == {"gaps": 1, "reordered": 1}

    def test_a_record_twice(self, book: Book, lane: Transcript) -> None:
        give(lane, 1, 2, 2)
        lane.resumed({"epoch": 1, "from": 2, "head": 4})
        give(lane, 2, 3)
        assert faults(book) == {"duplicated": 2}
        assert lane.last == 3

    @pytest.mark.parametrize("text", ["", "x", SCRIPT.text(3, 3), SCRIPT.text(2, 3)])
    def test_wrong_bytes(self, book: Book, lane: Transcript, text: str) -> None:
        lane.chunk(1, 1, 1, "")
        lane.chunk(1, 2, 2, text)
        assert faults(book) == {"wrong bytes": 1}

    def test_more_than_the_provider_has(self, book: Book, lane: Transcript) -> None:
        give(lane, *range(1, END + 1))
        assert faults(book) == {"wrong bytes": 1}

    def test_done_too_early(self, book: Book, lane: Transcript) -> None:
        give(lane, *range(1, END - 1))
        lane.terminal(1, END - 1, done())
        assert faults(book) == {"lost": 1}

    def test_a_head_before_what_the_client_has(self, book: Book, lane: Transcript) -> None:
        give(lane, 1, 2, 3)
        lane.resumed({"epoch": 1, "from": 3, "head": 1})
        assert faults(book) == {"lost": 2}

    def test_caught_up_with_records_missing(self, book: Book, lane: Transcript) -> None:
        give(lane, 1, 2)
        lane.caught_up(4)
        assert faults(book) == {"lost": 2}

    def test_a_reset_that_takes_records_back(self, book: Book, lane: Transcript) -> None:
        give(lane, 1, 2, 3)
        lane.reset(2, 1)
        assert faults(book) == {"rewound": 2}
        assert (lane.epoch, lane.last) == (2, 1)

    def test_a_reset_into_the_same_epoch(self, book: Book, lane: Transcript) -> None:
        lane.reset(1, 0)
        assert faults(book) == {"wrong answers": 1}

    def test_a_record_of_another_epoch(self, book: Book, lane: Transcript) -> None:
        give(lane, 1, epoch=2)
        assert faults(book) == {"wrong answers": 1}

    def test_two_ends(self, book: Book, lane: Transcript) -> None:
        give(lane, *range(1, END))
        lane.terminal(1, END, done())
        lane.terminal(1, END + 1, done())
        give(lane, END + 1)
        assert faults(book) == {"second terminals": 2}
        assert book.tally["completed"] == 1

    def test_two_readers_with_different_ends(self, book: Book, lane: Transcript) -> None:
        give(lane, *range(1, END))
        lane.terminal(1, END, done())
        reader = Transcript(SCRIPT, book, leads=False)
        reader.started("st_1", 1)
        reader.terminal(1, 1, {"finish_reason": "cancelled"})
        assert faults(book) == {"second terminals": 1}

    @pytest.mark.parametrize(
        "wrong",
        [None, usage(completion_tokens=4), usage(prompt_tokens=0), usage(estimated=True)],
    )
    def test_a_wrong_bill(self, book: Book, lane: Transcript, wrong: Any) -> None:
        give(lane, *range(1, END))
        lane.terminal(1, END, done(usage=wrong))
        assert faults(book) == {"wrong bills": 1}

    @pytest.mark.parametrize("content", ["x", SCRIPT.text(1, 5), SCRIPT.text(1, 6) + "x"])
    def test_a_kept_answer_that_is_another(
        self, book: Book, lane: Transcript, content: str
    ) -> None:
        lane.kept(content, done())
        assert faults(book) == {"wrong bytes": 1}

    @pytest.mark.parametrize("through", [END - 1, END + 1])
    def test_a_snapshot_that_is_not_the_stream(
        self, book: Book, lane: Transcript, through: int
    ) -> None:
        message = {"message": {"content": SCRIPT.text(1, 6)}, "through": through, "epoch": 1}
        lane.snapshot(message | done())
        assert faults(book)["wrong bytes"] == 1

    def test_an_end_that_nothing_explains(self, book: Book, lane: Transcript) -> None:
        error = {"code": "internal_error"}
        lane.terminal(1, 1, {"finish_reason": "error", "error": error})
        assert faults(book) == {"wrong answers": 1}

    def test_a_key_that_gives_a_second_stream(self, book: Book, lane: Transcript) -> None:
        lane.started("st_2", 1)
        assert faults(book) == {"wrong answers": 1}

    @pytest.mark.parametrize(
        ("code", "kind"),
        [("stream_not_found", "unknown"), ("expired", "unknown"), ("position_ahead", "lost")],
    )
    def test_a_stream_that_cannot_be_had(
        self, book: Book, lane: Transcript, code: str, kind: str
    ) -> None:
        lane.give_up(code)
        assert lane.over
        assert faults(book) == {kind: 1}

    def test_a_stream_without_an_end(self, book: Book, lane: Transcript) -> None:
        lane.stuck("nothing")
        assert faults(book) == {"stuck": 1}


def test_only_known_faults_are_counted() -> None:
    with pytest.raises(KeyError):
        Tally().fault("whatever", 1, "")
