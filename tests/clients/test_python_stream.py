"""Whatever happens to frames and servers, the user has each text once and in order."""

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tokenferry.protocol import cursor
from tokenferry_client import actions, events
from tokenferry_client.lane import Creation
from tokenferry_client.link import Link
from tokenferry_client.link_options import LinkOptions

STREAM = "st_1"
END = None


class Server:
    """A model of a server with one stream: a log, and what is on its way to the client.

    Attributes:
        epochs: Each epoch with the first seq that its owner writes.
        logs: What each epoch's log had in the end: texts, and END.
        line: Frames on the wire.
    """

    def __init__(self) -> None:
        self.epochs = [(1, 1)]
        self.logs: dict[int, list[str | None]] = {1: []}
        self.line: list[dict[str, Any]] = []
        self._created = False
        self._sent: int | None = None

    @property
    def epoch(self) -> int:
        return self.epochs[-1][0]

    @property
    def log(self) -> list[str | None]:
        return self.logs[self.epoch]

    @property
    def done(self) -> bool:
        return END in self.log

    def lose_connection(self) -> None:
        self.line = []
        self._sent = None

    def take_over(self, lost: int) -> None:
        """Begin again as another process, which does not find the last records."""
        found = self.log[: max(0, len(self.log) - lost)]
        epoch = self.epoch + 1
        self.epochs.append((epoch, len(found) + 1))
        self.logs[epoch] = found

    def take(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "create":
                self._created = True
                position = {"stream_id": STREAM, "epoch": self.epoch, "seq": 0}
                self._answer({"type": "started", "ref": message["ref"], **position}, 0)
            case "resume":
                self._resume(message)
            case "detach":
                self._sent = None

    def _resume(self, message: dict[str, Any]) -> None:
        assert self._created
        assert self._sent is None, "it follows the stream already"
        log = cursor.LogState(tuple(self.epochs), 0, len(self.log), has_snapshot=False)
        answer = cursor.decide(cursor.Position(message["epoch"], message["after"]), log)
        state = {"stream_id": STREAM, "epoch": self.epoch, "head": len(self.log)}
        state["state"] = "done" if self.done else "live"
        if isinstance(answer, cursor.Resumed):
            self._answer({"type": "resumed", "from": answer.after, **state}, answer.after)
        else:
            assert isinstance(answer, cursor.Reset)
            keep = answer.keep_through
            self._answer({"type": "reset", "keep_through": keep, **state}, keep)

    def _answer(self, frame: dict[str, Any], after: int) -> None:
        self.line.append(frame)
        self._sent = after

    def send(self, count: int, *, merged: bool) -> None:
        """Put the next records on the wire."""
        if self._sent is None:
            return
        first = self._sent + 1
        records = self.log[self._sent : self._sent + count]
        texts = [text for text in records if text is not END]
        if merged and texts:
            self._chunk("".join(texts), first, first + len(texts) - 1)
        else:
            for seq, text in enumerate(texts, first):
                self._chunk(text, seq, seq)
        self._sent += len(records)
        if END in records:
            position = {"stream_id": STREAM, "epoch": self.epoch, "seq": self._sent}
            self.line.append({"type": "done", "finish_reason": "stop", **position, "done": True})
            self._sent = None

    def _chunk(self, text: str, first: int, last: int) -> None:
        frame = {"type": "chunk", "choices": [{"index": 0, "delta": {"content": text}}]}
        position = {"stream_id": STREAM, "epoch": self.epoch, "seq": last}
        if first < last:
            position["from"] = first
        self.line.append({**frame, **position})


class Interleavings(RuleBasedStateMachine):
    """One stream, its user, and everything between them."""

    def __init__(self) -> None:
        super().__init__()
        self.server = Server()
        self.link = Link(LinkOptions(attempts_max=1_000_000))
        self.text = ""
        self.epoch, self.seq = 1, 0
        self.over = False
        self.carry_out(self.link.create("a", Creation({}, "k"), now_ms=0))

    def carry_out(self, wanted: list[actions.Action]) -> None:
        for action in wanted:
            match action:
                case actions.Send(message):
                    self.server.take(message)
                case actions.Deliver(event):
                    self.told(event)
                case actions.Close() | actions.Connect():
                    self.server.lose_connection()
        if any(isinstance(action, actions.Connect) for action in wanted):
            self.carry_out(self.link.opened(now_ms=0))
            self.receive({"type": "ready", "heartbeat_s": 15})

    def receive(self, frame: dict[str, Any]) -> None:
        self.carry_out(self.link.received(json.dumps(frame), now_ms=0, random_bits=0))

    def told(self, event: events.Event) -> None:
        assert not self.over
        match event:
            case events.Started():
                self.epoch = event.epoch
            case events.Chunk():
                self.text += event.text
                self.epoch, self.seq = event.epoch, event.seq
            case events.Rewind():
                assert self.text.startswith(event.texts[0])
                self.text = event.texts[0]
                self.epoch, self.seq = event.epoch, event.keep_through
            case events.Done():
                log = self.server.logs[event.epoch]
                assert event.seq == len(log)
                assert [*log[: self.seq], END] == log
                self.over = True
            case _:
                raise AssertionError(event)

    # -- what happens --------------------------------------------------------------------------

    @precondition(lambda self: not self.server.done)
    @rule(text=st.sampled_from(["a", "안녕", "👩‍👩‍👧", ""]))
    def produce(self, text: str) -> None:
        self.server.log.append(text)

    @precondition(lambda self: not self.server.done)
    @rule()
    def finish(self) -> None:
        self.server.log.append(END)

    @rule(count=st.integers(1, 4), merged=st.booleans())
    def send(self, count: int, merged: bool) -> None:  # noqa: FBT001 -- Hypothesis names it
        self.server.send(count, merged=merged)

    @precondition(lambda self: self.server.line)
    @rule()
    def deliver(self) -> None:
        self.receive(self.server.line.pop(0))

    @precondition(lambda self: self.server.line)
    @rule(at=st.integers(0, 3))
    def duplicate(self, at: int) -> None:
        self.server.line.insert(min(at, len(self.server.line)), self.server.line[0])

    @precondition(lambda self: self.server.line)
    @rule(at=st.integers(0, 3))
    def drop(self, at: int) -> None:
        self.server.line.pop(min(at, len(self.server.line) - 1))

    @precondition(lambda self: len(self.server.line) > 1)
    @rule(at=st.integers(0, 3))
    def reorder(self, at: int) -> None:
        line = self.server.line
        line.insert(0, line.pop(min(at + 1, len(line) - 1)))

    @rule()
    def disconnect(self) -> None:
        self.server.lose_connection()
        self.carry_out(self.link.closed(1006, now_ms=0, random_bits=0))

    @rule()
    def pause(self) -> None:
        self.carry_out(self.link.pause("a", now_ms=0))

    @rule()
    def unpause(self) -> None:
        self.carry_out(self.link.unpause("a"))

    @precondition(lambda self: self.server.epoch < 4)
    @rule(lost=st.integers(0, 4))
    def take_over(self, lost: int) -> None:
        self.server.take_over(lost)
        self.disconnect()

    # -- what holds ----------------------------------------------------------------------------

    @invariant()
    def the_text_is_what_the_epoch_had(self) -> None:
        log = self.server.logs[self.epoch]
        assert self.text == "".join(text for text in log[: self.seq] if text is not END)

    def teardown(self) -> None:
        """Let it end in peace: the user then has everything."""
        if not self.server.done:
            self.finish()
        self.disconnect()
        self.unpause()
        while self.server.line:
            self.server.send(1, merged=False)
            self.deliver()
            self.the_text_is_what_the_epoch_had()
        # A stream may end before its last owner loses the end; the user is not told twice.
        assert self.over


Interleavings.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestInterleavings = Interleavings.TestCase
