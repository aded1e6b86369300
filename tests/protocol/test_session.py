import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.errors import InvalidFrame, InvalidJSON, MissingKey, UnsupportedVersion
from tokenferry.protocol import messages
from tokenferry.protocol.messages import (
    IDEMPOTENCY_KEY_CHARACTERS,
    REF_CHARACTERS_MAX,
    Auth,
    Cancel,
    Create,
    Hello,
    Ping,
    Resume,
)
from tokenferry.protocol.session import BAD_FRAMES_MAX, PlainRequest, Refusal, Session

VECTORS = Path(__file__).parents[2] / "spec" / "vectors" / "server" / "refusal.json"
CASES = json.loads(VECTORS.read_text("utf-8"))["cases"]
PLAIN = b'{"model":"m","messages":[]}'
AUTH = b'{"type":"auth","token":"k"}'
HELLO = b'{"type":"hello"}'
PING = b'{"type":"ping"}'
CREATE = b'{"type":"create","request":{}}'
CANCEL = b'{"type":"cancel","stream_id":"s"}'
NO_JSON = b"{"
NO_TYPE = b'{"type":"none such"}'


def session(*, aware: bool = False, authenticated: bool = True) -> Session:
    return Session(aware=aware, authenticated=authenticated)


def outcome(result: object) -> str:
    """Say in a word what a frame was taken for, in what form it is refused, and the close code."""
    if not isinstance(result, Refusal):
        return type(result).__name__
    manner = "plain" if result.plain else "aware"
    return " ".join(
        [manner, type(result.error).__name__] + [str(result.close_code)] * bool(result.close_code)
    )


# What the connection is at first, what comes, and what each frame is taken for.
SEQUENCES: list[tuple[str, list[bytes], list[str]]] = [
    ("key", [PLAIN, PLAIN], ["PlainRequest", "PlainRequest"]),
    ("key", [PING, PLAIN], ["Ping", "PlainRequest"]),
    ("key", [HELLO, CREATE, CANCEL], ["Hello", "Create", "Cancel"]),
    ("key", [NO_JSON, PING, NO_JSON], ["plain InvalidFrame", "Ping", "aware InvalidFrame"]),
    ("key", [NO_TYPE, NO_JSON], ["aware InvalidFrame", "plain InvalidFrame"]),
    ("key", [AUTH, PING], ["aware InvalidFrame", "Ping"]),
    ("key aware", [HELLO, PLAIN, PING], ["Hello", "aware InvalidFrame", "Ping"]),
    ("key aware", [NO_JSON, b"[]", b"1"], ["aware InvalidFrame"] * 3),
    ("none", [AUTH], ["Auth"]),
    ("none aware", [AUTH], ["Auth"]),
    ("none", [PLAIN], ["plain MissingKey 4001"]),
    ("none", [HELLO], ["aware MissingKey 4001"]),
    ("none aware", [CREATE], ["aware MissingKey 4001"]),
    ("none aware", [PLAIN], ["aware InvalidFrame 4001"]),
    ("none", [NO_JSON], ["plain InvalidFrame 4001"]),
    ("none", [b'{"type":"auth"}'], ["aware InvalidFrame 4001"]),
    ("none", [NO_TYPE], ["aware InvalidFrame 4001"]),
    ("key", [b'{"type":"hello","version":2}'], ["aware UnsupportedVersion 4004"]),
    ("none", [b'{"type":"hello","version":0}'], ["aware UnsupportedVersion 4004"]),
]


@pytest.mark.parametrize(("start", "frames", "expected"), SEQUENCES)
def test_sequences(start: str, frames: list[bytes], expected: list[str]) -> None:
    tested = session(aware="aware" in start, authenticated="key" in start)
    assert [outcome(tested.receive(frame)) for frame in frames] == expected


def test_a_plain_request_is_passed_on_byte_for_byte() -> None:
    body = ' {"model":"모델", "messages":[ ], "새것":1.50}\n'.encode()
    assert session().receive(body) == PlainRequest(body)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (AUTH, Auth("k")),
        (HELLO, Hello()),
        (CANCEL, Cancel("s")),
        (b'{"type":"resume","stream_id":"s","epoch":1,"after":2}', Resume("s", 1, 2)),
    ],
)
def test_messages_are_read(frame: bytes, message: object) -> None:
    assert session(authenticated=frame != AUTH).receive(frame) == message


# The manner.


def test_a_connection_becomes_aware_with_its_first_message() -> None:
    tested = session()
    tested.receive(PLAIN)
    assert not tested.aware
    tested.receive(NO_TYPE)
    assert not tested.aware
    tested.receive(PING)
    assert tested.aware


def test_the_subprotocol_makes_it_aware_from_the_start() -> None:
    assert session(aware=True).aware


def test_after_auth_the_server_says_so_and_messages_are_taken() -> None:
    tested = session(authenticated=False)
    assert tested.receive(AUTH) == Auth("k")
    assert not tested.authenticated  # only the server knows whether the key is good
    tested.authenticated = True
    assert isinstance(tested.receive(PING), Ping)
    assert outcome(tested.receive(AUTH)) == "aware InvalidFrame"


def test_a_missing_key_says_how_to_authenticate() -> None:
    refusal = session(authenticated=False).receive(PLAIN)
    assert isinstance(refusal, Refusal)
    assert isinstance(refusal.error, MissingKey)
    assert "Authorization: Bearer" in refusal.error.message
    assert '"type":"auth"' in refusal.error.message


# Bad frames.


def test_the_tenth_bad_frame_in_a_row_closes() -> None:
    assert BAD_FRAMES_MAX == 10
    tested = session()
    results = [tested.receive(NO_JSON) for _ in range(11)]
    assert [outcome(result) for result in results] == (
        ["plain InvalidFrame"] * 9 + ["plain InvalidFrame 4000"] * 2
    )


def test_a_good_message_resets_the_count() -> None:
    tested = session()
    for _ in range(3):
        assert {outcome(tested.receive(NO_TYPE)) for _ in range(9)} == {"aware InvalidFrame"}
        assert isinstance(tested.receive(PING), Ping)
    for _ in range(9):
        tested.receive(NO_JSON)
    assert outcome(tested.receive(NO_JSON)) == "aware InvalidFrame 4000"


@pytest.mark.parametrize("good", [False, True])
def test_only_a_plain_request_that_was_good_resets_the_count(*, good: bool) -> None:
    tested = session()
    for _ in range(9):
        tested.receive(NO_JSON)
    assert isinstance(tested.receive(PLAIN), PlainRequest)
    if good:
        tested.accepted()
        assert {outcome(tested.receive(NO_JSON)) for _ in range(9)} == {"plain InvalidFrame"}
    assert outcome(tested.receive(NO_JSON)) == "plain InvalidFrame 4000"


def test_plain_requests_with_bad_bodies_count_too() -> None:
    tested = session()
    bad = Refusal(InvalidJSON("x"), plain=True, ref="r")
    assert [tested.refused(bad).close_code for _ in range(10)] == [None] * 9 + [4000]
    last = tested.refused(bad)
    assert (last.error, last.plain, last.ref) == (bad.error, True, "r")


def test_a_refusal_that_closes_keeps_its_own_code() -> None:
    tested = session()
    for _ in range(12):
        tested.receive(NO_JSON)
    assert outcome(tested.receive(b'{"type":"hello","version":9}')) == (
        "aware UnsupportedVersion 4004"
    )


def test_auth_out_of_place_counts_as_a_bad_frame() -> None:
    tested = session()
    results = [outcome(tested.receive(AUTH)) for _ in range(10)]
    assert results == ["aware InvalidFrame"] * 9 + ["aware InvalidFrame 4000"]


# What refusals say.


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_vector(case: dict[str, Any]) -> None:
    tested = session(aware=case["subprotocol"], authenticated=case["authenticated"])
    refusal = tested.receive(case["frame"].encode())
    assert isinstance(refusal, Refusal)
    write = messages.plain_error if refusal.plain else messages.error
    ref = {} if refusal.plain else {"ref": refusal.ref}
    frame = write(refusal.error, **ref)
    answer = json.loads(frame[frame.index(b'{"') :])
    said = {key: answer[key] for key in ("type", "ref", "done") if key in answer}
    assert said | {"error": {"code": answer["error"]["code"]}} == case["answer"]


def refused(frame: bytes, *, aware: bool = True) -> Refusal:
    result = session(aware=aware).receive(frame)
    assert isinstance(result, Refusal)
    return result


def test_an_unsupported_version() -> None:
    refusal = refused(b'{"type":"hello","version":%d}' % 10**4000)
    assert isinstance(refusal.error, UnsupportedVersion)
    assert refusal.error.param == "version"
    # It is also the reason of the close, which has room for 123 bytes.
    assert refusal.error.message == "This server speaks version 1, and no other."


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (b'{"type":"create"}', "missing required field `request`"),
        (b'{"type":"ack","stream_id":"s","seq":"1"}', "`$.seq`"),
        (b'{"type":"hello","version":1%s}' % (b"0" * 5000), "`$.version`"),
        (b"", "it is empty"),
        (b'{"type":"hello","caps":["\xff"]}', "utf-8"),
        (b'{"a":' + b"[" * 100_000, "nested too deeply"),
        (b'{"type":"ping","t":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"messages":[{"content":"\\ud83d"}]}', "half of an emoji"),
    ],
)
def test_a_bad_frame_is_told_what_is_wrong(frame: bytes, words: str) -> None:
    refusal = refused(frame)
    assert isinstance(refusal.error, InvalidFrame)
    assert words in refusal.error.message


@pytest.mark.parametrize(
    ("ref", "echoed"),
    [
        ('"내것"', "내것"),
        ("7", 7),
        ("-1", -1),
        ("null", None),
        ("1.5", None),
        ("[1]", None),
        ('"' + "가" * REF_CHARACTERS_MAX + '"', "가" * REF_CHARACTERS_MAX),
        ('"' + "가" * (REF_CHARACTERS_MAX + 1) + '"', None),
        ("9" * (REF_CHARACTERS_MAX + 1), None),
    ],
)
def test_a_refusal_carries_the_ref_if_it_is_one(ref: str, echoed: str | int | None) -> None:
    assert refused(b'{"type":"none such","ref":%b}' % ref.encode()).ref == echoed
    assert refused(b'{"ref":%b}' % ref.encode()).ref == echoed


@pytest.mark.parametrize("length", [1, REF_CHARACTERS_MAX])
@pytest.mark.parametrize("kind", ["create", "resume"])
def test_a_ref_that_fits(kind: str, length: int) -> None:
    message = session().receive(with_ref(kind, "한" * length))
    assert isinstance(message, Create | Resume)
    assert message.ref == "한" * length


@pytest.mark.parametrize("ref", ["한" * (REF_CHARACTERS_MAX + 1), 10**REF_CHARACTERS_MAX])
@pytest.mark.parametrize("kind", ["create", "resume"])
def test_a_ref_that_is_too_long(kind: str, ref: str | int) -> None:
    refusal = refused(with_ref(kind, ref), aware=False)
    assert refusal.error.param == "ref"
    assert (refusal.ref, refusal.plain) == (None, False)


def with_ref(kind: str, ref: str | int) -> bytes:
    fields = {"request": {}, "stream_id": "s", "epoch": 1, "after": 0}
    return json.dumps({"type": kind, "ref": ref} | fields).encode()


@pytest.mark.parametrize("value", ["continue", "cancel"])
def test_what_may_happen_on_a_disconnect(value: str) -> None:
    frame = {"type": "create", "request": {}, "options": {"on_disconnect": value}}
    message = session().receive(json.dumps(frame).encode())
    assert isinstance(message, Create)
    assert message.options.on_disconnect == value


@pytest.mark.parametrize("value", ["", "Cancel", "stop"])
def test_what_may_not(value: str) -> None:
    frame = {"type": "create", "request": {}, "ref": 5, "options": {"on_disconnect": value}}
    refusal = refused(json.dumps(frame).encode())
    assert (refusal.error.param, refusal.ref) == ("options.on_disconnect", 5)


@pytest.mark.parametrize("value", ["fail", "continue"])
def test_what_may_follow_a_restart(value: str) -> None:
    frame = {"type": "create", "request": {}, "options": {"recovery": value}}
    message = session().receive(json.dumps(frame).encode())
    assert isinstance(message, Create)
    assert message.options.recovery == value


@pytest.mark.parametrize("value", ["", "Fail", "retry"])
def test_what_may_not_follow_a_restart(value: str) -> None:
    frame = {"type": "create", "request": {}, "ref": "r", "options": {"recovery": value}}
    refusal = refused(json.dumps(frame).encode(), aware=False)
    assert (refusal.error.param, refusal.ref, refusal.plain) == ("options.recovery", "r", False)


@pytest.mark.parametrize("length", [1, IDEMPOTENCY_KEY_CHARACTERS])
def test_an_idempotency_key_that_fits(length: int) -> None:
    frame = {"type": "create", "request": {}, "idempotency_key": "한" * length}
    message = session().receive(json.dumps(frame).encode())
    assert isinstance(message, Create)
    assert message.idempotency_key == "한" * length


@pytest.mark.parametrize("length", [0, IDEMPOTENCY_KEY_CHARACTERS + 1])
def test_an_idempotency_key_that_does_not(length: int) -> None:
    frame = {"type": "create", "request": {}, "ref": 7, "idempotency_key": "k" * length}
    refusal = refused(json.dumps(frame).encode())
    assert (refusal.error.param, refusal.ref) == ("idempotency_key", 7)
    assert str(IDEMPOTENCY_KEY_CHARACTERS) in refusal.error.message


def test_with_the_subprotocol_a_frame_without_a_type_is_told_so() -> None:
    refusal = refused(b'{"model":"demo","ref":"r"}')
    assert (refusal.error.param, refusal.ref, refusal.plain) == ("type", "r", False)


@pytest.mark.parametrize("ref", [b"1.5", b"{}", b'"' + b"x" * 999 + b'"'])
def test_in_a_plain_request_ref_is_an_unknown_field(ref: bytes) -> None:
    body = b'{"model":"m","messages":[],"ref":%b}' % ref
    assert session().receive(body) == PlainRequest(body)


# Anything at all.

types = st.sampled_from(
    ["auth", "hello", "create", "resume", "detach", "cancel", "credit", "ack", "ping", "x", 1, None]
)
keys = st.sampled_from(
    ["token", "version", "caps", "request", "ref", "options", "stream_id", "epoch", "after", "t"]
)
finite = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | st.text(), inner),
    max_leaves=5,
)
json_frames = st.builds(
    lambda kind, fields: json.dumps({"type": kind} | fields).encode(),
    types,
    st.dictionaries(keys, json_values),
)


any_text = st.text(st.characters(exclude_categories=()), max_size=5)  # halves of pairs, too
torn_frames = st.builds(
    lambda fields: json.dumps(fields).encode(),
    st.dictionaries(st.sampled_from(["type", "ref", "x"]) | any_text, any_text | st.integers()),
)
anything = (
    st.binary(max_size=40)
    | torn_frames
    | json_values.map(lambda value: json.dumps(value).encode())
    | json_frames
    | st.sampled_from([PLAIN, AUTH, HELLO, PING, NO_JSON])
)


@given(frames=st.lists(anything, max_size=15), aware=st.booleans(), authenticated=st.booleans())
def test_nothing_makes_it_raise(frames: list[bytes], *, aware: bool, authenticated: bool) -> None:
    tested = session(aware=aware, authenticated=authenticated)
    bad = 0
    for frame in frames:
        result = tested.receive(frame)
        if isinstance(result, Refusal):
            result.error.message.encode()
            assert result.ref is None or len(str(result.ref)) <= REF_CHARACTERS_MAX
            assert isinstance(result.error, InvalidFrame | MissingKey | UnsupportedVersion)
            bad += 1
            expected = {UnsupportedVersion: 4004}.get(type(result.error))
            if not authenticated:
                expected = expected or 4001
            elif bad >= BAD_FRAMES_MAX:
                expected = expected or 4000
            assert result.close_code == expected
        elif not isinstance(result, PlainRequest):
            bad = 0
        if not authenticated:
            assert not isinstance(result, PlainRequest | Create)


@given(st.dictionaries(st.text(max_size=8), json_values))
def test_any_object_without_a_type_is_a_plain_request(fields: dict[str, Any]) -> None:
    fields.pop("type", None)
    body = json.dumps(fields).encode()
    assert session().receive(body) == PlainRequest(body)
