"""What one client has of one stream, and whether it is right: the judge. No I/O.

It is told every message as it came and says what is wrong with it in `Tally`. It applies a chunk
only if its first seq is the last applied one plus 1, as the protocol asks of clients.

Source: spec/PROTOCOL.md, "Streams and positions" and "Resume". Weakness: a gap is given up as lost
when the resume after it begins with the same gap.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from chaos.script import Script

COMPLAINTS_PER_KIND_MAX = 4

# What must be zero at the end, and what it means.
FAULTS = {
    "lost": "records that never came",
    "duplicated": "records sent again at or before the position asked for",
    "reordered": "records that came late",
    "gaps": "records that were skipped, and came with the next resume",
    "wrong bytes": "records that are not what the provider said",
    "rewound": "records taken back by a reset, though no power was cut",
    "second terminals": "streams with two ends, or with different ends for two readers",
    "wrong bills": "completed streams whose usage is not the provider's",
    "wrong answers": "messages that the protocol does not allow",
    "unknown": "streams that the server no longer knew",
    "stuck": "streams that never ended",
}


class Tally(Counter[str]):
    """Counts of a run, and the first few complaints in words."""

    def __init__(self) -> None:
        super().__init__()
        self.complaints: list[str] = []
        self._told: Counter[str] = Counter()

    def fault(self, kind: str, count: int, complaint: str) -> None:
        """Count something that must not be."""
        if kind not in FAULTS:
            raise KeyError(kind)
        self[kind] += count
        self._told[kind] += 1
        if self._told[kind] <= COMPLAINTS_PER_KIND_MAX:
            self.complaints.append(f"{kind}: {complaint}")


SEQ_UNTOLD = 0
USAGE_UNTOLD = ""


@dataclass(frozen=True, slots=True)
class End:
    """How a stream ended; every reader of it must hear the same, as far as it hears of it.

    Attributes:
        seq: Seq of the terminal record, or SEQ_UNTOLD.
        finish: Finish reason; "error" for an error.
        code: The error's code.
        usage: What was billed, or USAGE_UNTOLD.
    """

    seq: int
    finish: str
    code: str | None
    usage: str

    def agrees(self, other: "End") -> bool:
        """Say whether two readers heard of the same end."""
        return (
            (self.finish, self.code) == (other.finish, other.code)
            and (self.seq == other.seq or SEQ_UNTOLD in (self.seq, other.seq))
            and (self.usage == other.usage or USAGE_UNTOLD in (self.usage, other.usage))
        )


@dataclass
class Book:
    """What all clients of a run write into.

    Attributes:
        tally: The counts.
        ends: How each stream ended, by name.
        completed: The output tokens of completed streams, by their ids at the gateway.
    """

    tally: Tally = field(default_factory=Tally)
    ends: dict[str, End] = field(default_factory=dict)
    completed: dict[str, int] = field(default_factory=dict)


# Ends that the circumstances explain: done, killed, deployed, cancelled by the client.
ENDS = {"stop": "completed", "cancelled": "cancelled"}
ERROR_ENDS = {"upstream_lost": "ended in upstream_lost", "server_draining": "ended by a deploy"}


class Transcript:
    """One reader's copy of one stream.

    Attributes:
        script: What the stream has to be.
        leads: Whether this reader created it, and counts its end.
        stream_id: Its name at the gateway, once that is known.
        epoch: The owner's epoch.
        last: Seq of the last applied record.
        end: How it ended.
        given_up: Whether the server said that it cannot be had.
        told_usage: Whether the end tells this reader what was billed.
    """

    def __init__(self, script: Script, book: Book, *, leads: bool):
        self.script = script
        self.book = book
        self.leads = leads
        self.told_usage = True
        self.stream_id: str | None = None
        self.epoch = 0
        self.last = 0
        self.end: End | None = None
        self.given_up = False
        # Of this connection: the highest seq that came, and where a gap began that was not filled.
        self.highest = 0
        self.gap_after: int | None = None

    @property
    def over(self) -> bool:
        return self.end is not None or self.given_up

    def fault(self, kind: str, complaint: str, count: int = 1) -> None:
        where = f"{self.script.name} ({self.stream_id}) at {self.epoch}-{self.last}"
        self.book.tally.fault(kind, count, f"{where}: {complaint}")

    # -- what a connection begins with ------------------------------------------------------

    def started(self, stream_id: str, epoch: int) -> None:
        """Take the answer to a `create`: the stream comes from its start."""
        if self.stream_id not in (None, stream_id):
            self.fault("wrong answers", f"the same key gave the stream {stream_id}")
        self.stream_id, self.epoch, self.last = stream_id, epoch, 0
        self.highest = 0

    def resumed(self, message: dict[str, Any]) -> None:
        """Take `resumed`."""
        if message["epoch"] != self.epoch or message["from"] != self.last:
            self.fault("wrong answers", f"resumed at {message['epoch']}-{message['from']}")
        if message["head"] < self.last:
            self.fault("lost", f"the head is {message['head']}", self.last - message["head"])
        self.highest = self.last

    def reset(self, epoch: int, keep_through: int) -> None:
        """Take `reset`: drop what is beyond `keep_through`, and go on in another epoch."""
        if epoch <= self.epoch or keep_through > self.last:
            self.fault("wrong answers", f"reset to {epoch}-{keep_through}")
        if keep_through < self.last:
            self.fault("rewound", f"reset to {epoch}-{keep_through}", self.last - keep_through)
        self.epoch, self.last = epoch, min(keep_through, self.last)
        self.highest = self.last

    # -- records ---------------------------------------------------------------------------------

    def chunk(self, epoch: int, first: int, seq: int, text: str) -> bool:
        """Take a chunk; False says that something is missing before it: resume."""
        if not self._in_turn(epoch, first, seq):
            return self.gap_after is None
        if seq > self.script.tokens + 1:
            self.fault("wrong bytes", f"chunk {first}..{seq} of {self.script.tokens} tokens")
        elif text != self.script.text(first, seq):
            self.fault("wrong bytes", f"chunk {first}..{seq} is {text[:40]!r}")
        self.last = seq
        return True

    def terminal(self, epoch: int, seq: int, message: dict[str, Any]) -> bool:
        """Take the terminal message; False as for `chunk`."""
        if self.end is not None:
            self.fault("second terminals", f"{message} after {self.end}")
            return True
        if not self._in_turn(epoch, seq, seq):
            return self.gap_after is None
        self.last = seq
        self._close(seq, message)
        return True

    def snapshot(self, message: dict[str, Any]) -> None:
        """Take the whole text, of a stream whose chunks are no longer kept."""
        through = message["through"]
        content = (message["message"] or {}).get("content") or ""
        if content != self.script.text(1, through - 1):
            self.fault("wrong bytes", f"snapshot through {through} is {content[:40]!r}")
        self.last, self.epoch = through, message["epoch"]
        self._close(through, message)

    def kept(self, content: str, message: dict[str, Any]) -> None:
        """Take the whole text from where no position is told, as a repeated request has it."""
        whole = self.script.text(1, self.script.records - 1)
        if not whole.startswith(content) or (
            message["finish_reason"] == "stop" and content != whole
        ):
            self.fault("wrong bytes", f"the kept answer is {content[:40]!r}")
        self._close(SEQ_UNTOLD, message)

    def failed(self, code: str) -> bool:
        """Take an error in place of the stream; False if no stream ends in it."""
        if code not in ERROR_ENDS:
            return False
        self._close(SEQ_UNTOLD, {"error": {"code": code}})
        return True

    def caught_up(self, seq: int) -> None:
        """Take `caught_up`: everything up to `seq` must be here."""
        if self.gap_after is None and seq > self.last:
            self.fault("lost", f"caught_up at {seq}", seq - self.last)

    def give_up(self, code: str) -> None:
        """Take the server's word that the stream cannot be had."""
        self.fault("lost" if code == "position_ahead" else "unknown", code)
        self.given_up = True

    def stuck(self, provider: str) -> None:
        """Take note that the end did not come in time."""
        self.fault("stuck", f"no end; the provider counts {provider}")
        self.given_up = True

    def _in_turn(self, epoch: int, first: int, seq: int) -> bool:
        """Say whether a record is the next one; if it is not, count what it is instead."""
        if epoch != self.epoch:
            self.fault("wrong answers", f"record {first}..{seq} of epoch {epoch}")
        if self.end is not None:
            self.fault("second terminals", f"record {first}..{seq} after the end")
            return False
        if first <= self.last:
            self.fault("duplicated", f"record {first}..{seq}")
            return False
        if first <= self.highest:
            self.fault("reordered", f"record {first}..{seq} after {self.highest}")
            return False
        self.highest = seq
        if first == self.last + 1:
            self.gap_after = None
            return True
        missing = first - self.last - 1
        if self.gap_after == self.last:
            self.fault("lost", f"{self.last + 1}..{first - 1} again missing", missing)
            self.last, self.gap_after = first - 1, None
            return True
        self.fault("gaps", f"{self.last + 1}..{first - 1} missing", missing)
        self.gap_after = self.last
        return False

    # -- the end ---------------------------------------------------------------------------------

    def _close(self, seq: int, message: dict[str, Any]) -> None:
        """Judge the end."""
        script = self.script
        code = (message.get("error") or {}).get("code")
        finish = "error" if code else message["finish_reason"]
        told = self.told_usage and seq != SEQ_UNTOLD
        usage = message.get("usage") or {}
        self.end = end = End(seq, finish, code, str(usage) if told else USAGE_UNTOLD)
        kind = ERROR_ENDS.get(code) if code else ENDS.get(finish)
        if kind is None:
            self.fault("wrong answers", f"ended in {finish}, {code}")
        elif self.leads:
            self.book.tally[kind] += 1
        known = self.book.ends.setdefault(script.name, end)
        if not known.agrees(end):
            self.fault("second terminals", f"{end}, another reader has {known}")
        if finish == "stop" and self.stream_id is not None:
            self.book.completed[self.stream_id] = script.tokens
        if finish != "stop" or seq == SEQ_UNTOLD:
            return
        if seq < script.records:
            self.fault("lost", f"done at {seq} of {script.records}", script.records - seq)
        asked = (script.prompt_tokens, script.tokens, script.prompt_tokens + script.tokens)
        names = ("prompt_tokens", "completion_tokens", "total_tokens")
        if told and (tuple(map(usage.get, names)) != asked or usage.get("estimated")):
            self.fault("wrong bills", f"{usage} instead of {asked}")
