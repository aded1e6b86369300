"""The Python client's pure part over the vectors that all clients share."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tokenferry_client import actions, events
from tokenferry_client.lane import Creation
from tokenferry_client.link import Link, Phase
from tokenferry_client.link_options import STREAMS_MAX, LinkOptions

VECTORS = Path(__file__).parents[2] / "spec" / "vectors" / "client"
CASES = [
    pytest.param(case, id=f"{path.stem}: {case['name']}")
    for path in sorted(VECTORS.glob("*.json"))
    for case in json.loads(path.read_text("utf-8"))["cases"]
]


def perform(link: Link, do: dict[str, Any], now_ms: int) -> list[actions.Action]:
    """Give the link the one input of a step."""
    ((kind, given),) = do.items()
    values = dict(given)
    if kind in ("closed", "fired", "received"):
        values = {"random_bits": 0, **values}
    if kind == "create":
        values = {"ref": values.pop("ref"), "creation": Creation(**values)}
    if "refusal" in values:
        values["refusal"] = events.ErrorInfo(**values["refusal"])
    if "frame" in values:
        values["text"] = json.dumps(values.pop("frame"))
    if kind != "close":
        values["now_ms"] = now_ms
    done: list[actions.Action] = getattr(link, kind)(**values)
    return done


def wire(action: actions.Action) -> dict[str, Any]:
    """Return an action as the vectors write it."""
    match action:
        case actions.Send(message):
            return {"send": message}
        case actions.Deliver(event):
            told = {"type": type(event).__name__.lower(), **plain(asdict(event))}
            return {"event": told}
        case actions.Connect(delay_ms, ticket):
            return {"connect": {"delay_ms": delay_ms, **({"ticket": True} if ticket else {})}}
        case actions.Close(code):
            return {"close": {"code": code}}
        case actions.Timer(in_ms):
            return {"timer": {"in_ms": in_ms}}


def plain(event: dict[str, Any]) -> dict[str, Any]:
    """Leave out null and empty lists, and what only a stream says of a chunk."""
    return {
        key: said(value) if key == "error" else list(value) if isinstance(value, tuple) else value
        for key, value in event.items()
        if value is not None and value != () and key != "replaces"
    }


def said(error: dict[str, Any]) -> dict[str, Any]:
    """Leave out the time as well, which stands beside an error."""
    return {key: value for key, value in plain(error).items() if key != "retry_after_ms"}


def expected(action: dict[str, Any]) -> dict[str, Any]:
    """Return an expectation with what is null left out of events."""
    return {"event": plain(action["event"])} if "event" in action else action


@pytest.mark.parametrize("case", CASES)
def test_vector(case: dict[str, Any]) -> None:
    link = Link(LinkOptions(**case.get("options", {})))
    for number, step in enumerate(case["steps"]):
        done = [wire(action) for action in perform(link, step["do"], step["at_ms"])]
        assert done == [expected(action) for action in step["expect"]], (number, step["do"])


def creation(key: str = "k") -> Creation:
    return Creation({"model": "demo", "messages": []}, key)


def test_a_ref_is_used_once_at_a_time() -> None:
    link = Link(LinkOptions())
    link.create("a", creation(), now_ms=0)
    with pytest.raises(ValueError, match="ref"):
        link.create("a", creation("l"), now_ms=0)
    link.cancel("a", now_ms=0)
    assert link.create("a", creation("l"), now_ms=0) == []
    assert link.phase is Phase.DIALLING


def test_a_stream_is_followed_once() -> None:
    link = Link(LinkOptions())
    link.follow("a", "st_1", 1, 0, now_ms=0)
    with pytest.raises(ValueError, match="followed"):
        link.follow("b", "st_1", 1, 0, now_ms=0)


def test_the_number_of_streams_is_limited() -> None:
    link = Link(LinkOptions())
    for number in range(STREAMS_MAX):
        link.create(str(number), creation(str(number)), now_ms=0)
    with pytest.raises(ValueError, match="at most"):
        link.create("one more", creation("one more"), now_ms=0)


def test_the_limits_are_those_that_the_vectors_name() -> None:
    options = LinkOptions()
    assert (options.attempts_max, options.outage_ms_max) == (30, 300_000)
    assert STREAMS_MAX == 1024


def test_the_callers_request_is_not_changed() -> None:
    request = {"model": "demo", "messages": [], "stream": False}
    link = Link(LinkOptions())
    link.create("a", Creation(request, "k"), now_ms=0)
    link.opened(now_ms=0)
    sent, _ = link.received('{"type":"ready","heartbeat_s":15}', now_ms=0, random_bits=0)
    assert isinstance(sent, actions.Send)
    assert sent.message["request"]["stream"] is True
    assert request["stream"] is False


def test_deep_nesting_is_unreadable_and_no_crash() -> None:
    link = Link(LinkOptions())
    link.create("a", creation(), now_ms=0)
    link.opened(now_ms=0)
    done = link.received("[" * 200_000, now_ms=0, random_bits=0)
    assert done == [actions.Close(4000), actions.Timer(None), actions.Connect(250)]
