"""Finds the recorded streams, and the ones written for the tests."""

from dataclasses import dataclass
from pathlib import Path

from harness.reading import Reading, read

TESTS = Path(__file__).parents[1]
OWN = TESTS / "data" / "transcripts"
SHARED = TESTS.parent / ".." / "shared" / "transcripts"
# Streams of another API, for the day that it is spoken.
OTHER_API = "openai-responses"
SHARED_KINDS = {"anthropic": "anthropic", "google": "gemini"}


@dataclass(frozen=True, slots=True)
class Transcript:
    """One stream: the data of each event, and the wire format it is in."""

    name: str
    kind: str
    events: tuple[str, ...]

    @property
    def reading(self) -> Reading:
        """What an independent reading finds in it."""
        return read(self.kind, self.events)


def _load(path: Path, name: str, kind: str) -> Transcript:
    lines = path.read_text(encoding="utf-8").split("\n")
    return Transcript(name, kind, tuple(line for line in lines if line.strip()))


def own() -> list[Transcript]:
    """Return the streams of the repository."""
    return [
        _load(path, f"own-{path.parent.name}-{path.stem}", path.parent.name)
        for path in sorted(OWN.glob("*/*.jsonl"))
    ]


def shared() -> list[Transcript]:
    """Return the recorded streams, if they are there."""
    return [
        _load(path, path.stem, SHARED_KINDS.get(path.parent.name, "openai"))
        for path in sorted(SHARED.glob("*/*.jsonl"))
        if path.parent.name != OTHER_API
    ]
