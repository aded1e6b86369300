import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.protocol import cursor
from tokenferry.protocol.cursor import LogState, Position, decide

VECTORS = Path(__file__).parents[2] / "spec" / "vectors" / "server" / "resume.json"
CASES = [
    case for case in json.loads(VECTORS.read_text("utf-8"))["cases"] if case["state"] is not None
]


def wire(answer: cursor.Answer, *, done: bool) -> dict[str, Any]:
    """Return what the vectors say of an answer: the message's type, and the fields that count."""
    state = "done" if done else "live"
    match answer:
        case cursor.Resumed(epoch, after, head):
            return {"type": "resumed", "epoch": epoch, "from": after, "head": head, "state": state}
        case cursor.Reset(epoch, keep_through, head):
            fields = {"epoch": epoch, "keep_through": keep_through, "head": head, "state": state}
            return {"type": "reset", **fields}
        case cursor.Snapshot(epoch, through):
            return {"type": "snapshot", "epoch": epoch, "through": through, "done": True}
        case cursor.Expired():
            return {"type": "error", "error": {"code": "expired"}}
        case cursor.PositionAhead():
            return {"type": "error", "error": {"code": "position_ahead", "param": "after"}}
        case cursor.EpochUnknown():
            return {"type": "error", "error": {"code": "invalid_value", "param": "epoch"}}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_vector(case: dict[str, Any]) -> None:
    state = dict(case["state"])
    done = state.pop("done")
    log = LogState(epochs=tuple(map(tuple, state.pop("epochs"))), **state)
    assert wire(decide(Position(**case["resume"]), log), done=done) == case["answer"]


def test_refusals_tell_where_the_stream_stands() -> None:
    log = LogState(((1, 1), (2, 6)), 0, 9, has_snapshot=False)
    assert decide(Position(2, 10), log) == cursor.PositionAhead(head=9)
    assert decide(Position(3, 1), log) == cursor.EpochUnknown(epoch=2)


def test_a_negative_position_is_refused() -> None:
    assert Position(1, 0).after == 0
    with pytest.raises(ValueError, match="after"):
        Position(1, -1)


@st.composite
def logs(draw: st.DrawFn) -> tuple[LogState, list[list[int]]]:
    """Draw a stream's life: each owner finds a beginning of the log, and writes on from there.

    Returns what the log says of it, and what each epoch's followers can have seen: of each seq,
    the epoch that wrote it.
    """
    written: list[int] = []
    epochs, seen = [], []
    for epoch in range(1, draw(st.integers(1, 4)) + 1):
        if epoch > 1:
            written = written[: draw(st.integers(0, len(written)))]
        epochs.append((epoch, len(written) + 1))
        written = written + [epoch] * draw(st.integers(0, 4))
        seen.append(written)
    head = len(written)
    floor = draw(st.none() | st.integers(0, head))
    return LogState(tuple(epochs), floor, head, draw(st.booleans())), seen


@given(logs(), st.data())
def test_what_the_client_keeps_and_is_sent_is_what_the_stream_has(
    life: tuple[LogState, list[list[int]]], data: st.DataObject
) -> None:
    log, seen = life
    epoch = data.draw(st.integers(1, len(seen)))
    has = seen[epoch - 1][: data.draw(st.integers(0, len(seen[epoch - 1])))]
    answer = decide(Position(epoch, len(has)), log)
    assert not isinstance(answer, cursor.EpochUnknown | cursor.PositionAhead)
    if isinstance(answer, cursor.Snapshot | cursor.Expired):
        assert isinstance(answer, cursor.Snapshot) == log.has_snapshot
        return
    kept = answer.after if isinstance(answer, cursor.Resumed) else answer.keep_through
    assert isinstance(answer, cursor.Resumed) == (epoch == len(seen))
    assert log.floor is not None
    assert kept >= log.floor
    assert has[:kept] + seen[-1][kept:] == seen[-1]
    assert answer.head == log.head


@given(logs(), st.data())
def test_as_much_is_kept_as_can_be(
    life: tuple[LogState, list[list[int]]], data: st.DataObject
) -> None:
    """A client is made to drop only what some later owner did not find."""
    log, seen = replace(life[0], floor=0), life[1]
    epoch = data.draw(st.integers(1, len(seen)))
    after = data.draw(st.integers(0, len(seen[epoch - 1])))
    answer = decide(Position(epoch, after), log)
    if isinstance(answer, cursor.Reset) and answer.keep_through < after:
        lost = answer.keep_through + 1
        assert any(first_seq == lost for owner, first_seq in log.epochs if owner > epoch)
