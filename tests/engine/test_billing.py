"""Money around a stream, with the engine and the real books."""

import json

import pytest

from engine.virtual import KEY, Bench, ScriptedProvider, request
from stores.test_sqlite_ledger import book, grant, states, total
from tokenferry.domain.allowance import KeyLimits
from tokenferry.domain.money import format_dollars
from tokenferry.domain.price_form import read_terms
from tokenferry.domain.pricing import Price, PriceBook
from tokenferry.domain.usage import Usage
from tokenferry.engine.billing import Billing, Rules
from tokenferry.engine.keys import Key, StoreUnusable
from tokenferry.engine.options import Options
from tokenferry.engine.recovery import recover
from tokenferry.engine.settlement import CHARGE_DELAY_S, Settlement
from tokenferry.errors import (
    ModelNotAllowed,
    ModelNotPriced,
    ProviderCutOff,
    ServiceTierNotAllowed,
    UnsupportedParameter,
)
from tokenferry.protocol.chat import Delta
from tokenferry.providers.anthropic import AnthropicFormat
from tokenferry.stores.segment_journal import SegmentJournal
from tokenferry.stores.sqlite_ledger import SqliteLedger

# A nano-dollar a token in, two a token out; a thousand tokens of output at most.
PRICES = PriceBook(
    [
        Price(
            "m",
            0,
            read_terms(
                {
                    "rates": {"input": "0.001", "output": "0.002"},
                    "service_tiers": {"flex": {"rates": {"input": "0.0005", "output": "0.001"}}},
                    "output_tokens_max": 1000,
                }
            ),
        )
    ]
)
MEMBER = Key("k", "k", "a")
FIRST = Key("k", "k", "a", limits=KeyLimits(has_priority=True))
# Of the bench's request, raised: two Hangul syllables, one message.
PROMPT_TOKENS = 18


def image_message(count):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    return [{"role": "user", "content": [{"type": "text", "text": "안녕"}, *[image] * count]}]


@pytest.fixture
def ledger(tmp_path):
    store = SqliteLedger(tmp_path / "t.db")
    yield store
    store.close()


def bench(ledger, **more):
    def commit(work, committed):
        try:
            committed(ledger.commit(work))
        except StoreUnusable as exc:
            committed(exc)

    return Bench(**{"prices": PRICES, "ledger": commit, **more})


def follow(made, stream):
    outlet, _ = made.follow(stream)
    made.timers.tick()
    return outlet


def finish(made, usage, reason="stop"):
    made.sink.text("hi")
    made.sink.finish(0, reason)
    made.sink.usage(usage)
    made.sink.end()
    made.timers.advance(CHARGE_DELAY_S)


def test_a_provider_is_called_only_after_the_hold(ledger):
    grant(ledger, 5000)
    made = bench(ledger)
    made.create(owner=MEMBER, max_tokens=100)
    assert made.provider.calls == []
    made.timers.tick()
    assert len(made.provider.calls) == 1
    assert book(ledger) == (5000, PROMPT_TOKENS + 200)


def test_what_was_used_is_charged_and_the_client_told(ledger):
    grant(ledger, 5000)
    made = bench(ledger)
    outlet = follow(made, made.create(owner=MEMBER, max_tokens=100))
    finish(made, Usage(10, 20))
    last = outlet.frames()[-1]
    assert (last["cost"], last["balance"]) == ("0.00000005", "0.00000495")
    assert book(ledger) == (4950, 0)
    assert total(ledger) == 0


def test_without_credit_nothing_is_begun_and_the_client_told_what_is_missing(ledger):
    grant(ledger, 100)
    made = bench(ledger)
    options = Options(on_disconnect_cancel=False, orphan_timeout_s=60.0, idempotency_key="again")
    stream = made.create(options, owner=MEMBER, max_tokens=100)
    outlet = follow(made, stream)
    last = outlet.frames()[-1]
    assert last["error"]["code"] == "insufficient_credit"
    assert last["done"] is True
    assert made.provider.calls == []
    assert stream.error.http_status == 402
    assert stream.error.details == {
        "needed": "0.000000218",
        "available": "0.0000001",
        "missing": "0.000000118",
        "top_up_url": None,
    }
    assert states(ledger) == {}
    assert ledger._connection.execute("SELECT COUNT(*) FROM charge").fetchone() == (0,)
    # The same request, after a top-up.
    grant(ledger, 1000, reference="2")
    again = made.create(options, owner=MEMBER, max_tokens=100)
    assert again is not stream
    made.timers.tick()
    assert len(made.provider.calls) == 1


def test_a_request_without_a_limit_gets_what_there_is(ledger):
    grant(ledger, PROMPT_TOKENS + 2 * 300)
    made = bench(ledger)
    outlet = follow(made, made.create(owner=MEMBER))
    assert made.provider.prepared[-1].output_tokens_max == 300
    assert bytes(made.provider.prepared[-1].fields["max_completion_tokens"]) == b"300"
    finish(made, Usage(10, 300), "length")
    last = outlet.frames()[-1]
    assert last["choices"][0]["finish_reason"] == "length"
    assert last["notice"]["code"] == "credit_used_up"
    assert book(ledger) == (8, 0)


def test_the_least_that_is_worth_beginning_with(ledger):
    grant(ledger, PROMPT_TOKENS + 2 * 256 - 1)
    made = bench(ledger)
    outlet = follow(made, made.create(owner=MEMBER))
    assert outlet.frames()[-1]["error"]["code"] == "insufficient_credit"


def test_a_provider_that_takes_no_limit_is_left_out(ledger):
    class Unlimited(ScriptedProvider):
        def prepare(self, asked, model):
            if asked.output_tokens_max is not None:
                raise UnsupportedParameter("No.", param="max_tokens")
            return super().prepare(asked, model)

    grant(ledger, 5000)
    dear = Price("first/m", 0, read_terms({"rates": {"input": "0.002", "output": "0.004"}}))
    cheap = Price("m", 0, read_terms({"rates": {"input": "0.001", "output": "0.002"}}))
    made = bench(
        ledger,
        prices=PriceBook([dear, cheap]),
        providers=[Unlimited("first"), ScriptedProvider("second")],
    )
    made.create(owner=MEMBER)
    made.timers.tick()
    assert made.providers[0].calls == []
    made.providers[1].sink.text("hi")
    made.providers[1].sink.finish(0, "stop")
    made.providers[1].sink.usage(Usage(10, 20))
    made.providers[1].sink.end()
    made.timers.advance(CHARGE_DELAY_S)
    assert book(ledger) == (4950, 0)
    row = ledger._connection.execute("SELECT provider, cost_nanos FROM charge").fetchone()
    assert row == ("second", 50)


def test_where_nobody_takes_the_limit_the_stream_ends_and_its_hold_with_it(ledger):
    class Unlimited(ScriptedProvider):
        def prepare(self, asked, model):
            if asked.output_tokens_max is not None:
                raise UnsupportedParameter("No.", param="max_tokens")
            return super().prepare(asked, model)

    grant(ledger, 1000)
    made = bench(ledger, providers=[Unlimited()])
    outlet = follow(made, made.create(owner=MEMBER))
    made.timers.advance(CHARGE_DELAY_S)
    assert outlet.frames()[-1]["error"]["code"] == "unsupported_parameter"
    assert book(ledger) == (1000, 0)


def test_an_estimate_stays_below_what_the_hold_affords(ledger):
    grant(ledger, PROMPT_TOKENS + 2 * 300)
    made = bench(ledger)
    stream = made.create(owner=MEMBER)
    made.timers.tick()
    made.sink.text("가" * 900)
    made.dispatcher.cancel("k", stream.id)
    made.timers.advance(CHARGE_DELAY_S)
    assert ledger._connection.execute(
        "SELECT completion_tokens, shortfall_nanos FROM charge"
    ).fetchone() == (300, 0)


def test_what_there_is_is_shared_by_all_answers(ledger):
    """Each may be as long as the limit says that the provider is told."""
    grant(ledger, PROMPT_TOKENS + 2 * 3 * 300)
    made = bench(ledger)
    made.create(owner=MEMBER, n=3)
    made.timers.tick()
    assert made.provider.prepared[-1].output_tokens_max == 300
    assert book(ledger) == (PROMPT_TOKENS + 1800, PROMPT_TOKENS + 1800)


def test_who_leaves_just_before_the_usage_pays_for_every_answer(ledger):
    grant(ledger, 5000)
    made = bench(ledger)
    stream = made.create(owner=MEMBER, max_tokens=100, n=4)
    made.timers.tick()
    for index in range(4):
        made.sink.delta(index, Delta(content="가" * 100))
    made.dispatcher.cancel("k", stream.id)
    made.timers.advance(CHARGE_DELAY_S)
    assert ledger._connection.execute(
        "SELECT completion_tokens, shortfall_nanos FROM charge"
    ).fetchone() == (400, 0)


def test_what_the_provider_is_allowed_beyond_the_limit_is_held_as_well(ledger):
    """Of `max_tokens` Claude's thinking is no part: its budget comes on top."""
    thinking = ScriptedProvider()
    thinking.output_tokens_max = 400
    grant(ledger, PROMPT_TOKENS + 2 * 400)
    made = bench(ledger, providers=[thinking])
    made.create(owner=MEMBER, max_tokens=100)
    made.timers.tick()
    assert book(ledger) == (PROMPT_TOKENS + 800, PROMPT_TOKENS + 800)
    outlet = follow(made, made.create(owner=MEMBER, max_tokens=100))
    assert outlet.frames()[-1]["error"]["code"] == "insufficient_credit"
    assert len(made.provider.calls) == 1


@pytest.mark.parametrize("effort", ["low", "max"])
def test_what_there_is_is_not_exceeded_by_thinking(ledger, effort):
    """Whatever name a provider is told the limit by, its thinking is part of it."""
    grant(ledger, PROMPT_TOKENS + 2 * 300)
    made = bench(ledger)
    made.create(owner=MEMBER, reasoning_effort=effort)
    made.timers.tick()
    prepared = made.provider.prepared[-1]
    sent = json.loads(AnthropicFormat("k").encode(prepared, "claude-sonnet-4-5").body)
    assert sent["max_tokens"] == 300


def test_a_client_that_leaves_pays_for_what_was_generated(ledger):
    grant(ledger, 5000)
    made = bench(ledger)
    stream = made.create(owner=MEMBER, max_tokens=100)
    made.timers.tick()
    for count in range(3):
        made.sink.text(f"조각{count}")
    made.dispatcher.cancel("k", stream.id)
    made.timers.advance(CHARGE_DELAY_S)
    # Two syllables of the prompt, three times two and a digit.
    assert ledger._connection.execute(
        "SELECT prompt_tokens, completion_tokens, estimated, cost_nanos FROM charge"
    ).fetchall() == [(2, 7, 1, 16)]
    assert book(ledger) == (4984, 0)


@pytest.mark.parametrize(
    ("fields", "prompt_tokens"),
    [
        ({}, 2),
        # 98 characters of JSON.
        ({"tools": [{"type": "function", "function": {"name": "f" * 50}}]}, 2 + 25),
        ({"messages": image_message(1)}, 2 + 765),
        ({"messages": image_message(3)}, 2 + 3 * 765),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "file", "file": {"file_data": "A" * 32_000}},
                            {
                                "type": "input_audio",
                                "input_audio": {"data": "A" * 12_800, "format": "mp3"},
                            },
                        ],
                    }
                ]
            },
            1_000 + 100,
        ),
    ],
)
def test_who_leaves_before_the_usage_pays_for_more_than_the_text_of_the_prompt(
    ledger, fields, prompt_tokens
):
    grant(ledger, 50_000)
    made = bench(ledger)
    stream = made.create(owner=MEMBER, max_tokens=100, **fields)
    made.timers.tick()
    made.sink.text("가")
    made.dispatcher.cancel("k", stream.id)
    made.timers.advance(CHARGE_DELAY_S)
    assert ledger._connection.execute(
        "SELECT prompt_tokens, completion_tokens FROM charge"
    ).fetchall() == [(prompt_tokens, 1)]


def test_usage_of_nothing_costs_nothing(ledger):
    grant(ledger, 5000)
    made = bench(ledger)
    outlet = follow(made, made.create(owner=MEMBER, max_tokens=100))
    finish(made, Usage(0, 0))
    assert outlet.frames()[-1]["cost"] == "0.00"
    assert book(ledger) == (5000, 0)


def test_a_failure_before_anything_came_costs_nothing(ledger):
    grant(ledger, 5000)
    made = bench(ledger)
    made.create(owner=MEMBER, max_tokens=100)
    made.timers.tick()
    # Claude counts the prompt before it finds that it has no room.
    made.sink.usage(Usage(10, 1))
    made.sink.fail(ProviderCutOff("No."))
    made.timers.advance(CHARGE_DELAY_S)
    assert book(ledger) == (5000, 0)
    assert list(states(ledger).values()) == ["voided"]


def test_a_stream_that_is_cancelled_before_its_hold_ends_it(ledger):
    grant(ledger, 5000)
    made = bench(ledger)
    stream = made.create(owner=MEMBER, max_tokens=100)
    made.dispatcher.cancel("k", stream.id)
    made.timers.advance(CHARGE_DELAY_S)
    assert made.provider.calls == []
    assert book(ledger) == (5000, 0)


def test_a_stream_that_is_cancelled_before_the_disk_has_it_holds_nothing(ledger):
    grant(ledger, 5000)
    syncs = []
    made = bench(ledger, sync=syncs.append)
    stream = made.create(owner=MEMBER, max_tokens=100)
    made.timers.tick()
    made.dispatcher.cancel("k", stream.id)
    made.timers.advance(CHARGE_DELAY_S)
    while syncs:
        syncs.pop(0)(None)
        made.timers.advance(CHARGE_DELAY_S)
    assert made.provider.calls == []
    assert book(ledger) == (5000, 0)
    assert "open" not in states(ledger).values()


def test_a_drained_answer_is_charged_by_its_last_word(ledger):
    grant(ledger, 5000)
    made = bench(ledger, providers=[ScriptedProvider(drains=True)])
    stream = made.create(owner=MEMBER, max_tokens=100)
    made.timers.tick()
    made.sink.text("a")
    made.dispatcher.cancel("k", stream.id)
    made.timers.advance(CHARGE_DELAY_S)
    assert book(ledger)[0] == 5000
    made.sink.usage(Usage(10, 90))
    made.sink.end()
    made.timers.advance(CHARGE_DELAY_S)
    assert book(ledger) == (4810, 0)


def test_the_operator_s_own_key_waits_for_nothing_and_is_metered(ledger):
    made = bench(ledger)
    outlet = follow(made, made.create())
    assert len(made.provider.calls) == 1
    finish(made, Usage(10, 20))
    assert outlet.frames()[-1]["cost"] == "0.00000005"
    assert "balance" not in outlet.frames()[-1]
    assert book(ledger, "account:operator") == (-50, 0)


def test_a_budget_of_the_operator_s_key_is_kept(ledger):
    made = bench(ledger)
    key = Key("k", "k", budget_nanos=100)
    outlet = follow(made, made.create(owner=key, max_tokens=100))
    assert outlet.frames()[-1]["error"]["code"] == "budget_exceeded"


def test_books_that_cannot_be_written_let_nothing_begin():
    made = Bench(prices=PRICES, ledger=lambda _, committed: committed(StoreUnusable("full")))
    outlet = follow(made, made.create(owner=MEMBER, max_tokens=1))
    assert outlet.frames()[-1]["error"]["code"] == "storage_unavailable"
    assert made.provider.calls == []


def test_refusals_come_in_this_order(ledger):
    made = Bench()  # no price is known
    other = Key("k", "k", "a", frozenset({"other"}))
    with pytest.raises(ModelNotAllowed):
        made.create(owner=other)
    with pytest.raises(ModelNotPriced, match="prices set"):
        made.create(owner=MEMBER)
    made.create()  # the operator's own


def test_what_is_known_to_be_dearer_and_not_by_how_much_is_refused(ledger):
    made = bench(ledger)
    with pytest.raises(ModelNotPriced, match="service_tier") as caught:
        made.create(owner=FIRST, service_tier="priority")
    assert caught.value.param == "service_tier"


def test_only_who_may_goes_before_others(ledger):
    made = bench(ledger)
    with pytest.raises(ServiceTierNotAllowed, match="keys limit --priority"):
        made.create(owner=MEMBER, service_tier="priority")
    made.create(owner=KEY, service_tier="priority")  # the operator's own
    made.create(owner=MEMBER, service_tier="default")


def test_unpriced_models_are_free_where_the_operator_says_so(ledger):
    made = Bench()
    rules = Rules(serves_unpriced=True)
    billing = Billing(PriceBook([]), Settlement(lambda *_: None, made.timers), rules, lambda: 0)
    attempts = made.dispatcher.attempts(request())
    assert billing.bill(MEMBER, request(), attempts).wanted_nanos == 0


@pytest.mark.parametrize(
    ("message", "more"),
    [
        ({"content": "안녕"}, 0),
        ({"content": [{"type": "text", "text": "안녕"}]}, 0),
        # Whatever stands beside it.
        ({"content": [{"type": "image_url", "image_url": {"url": "u"}, "text": "안녕"}]}, 1600),
        ({"content": [{"type": "text", "text": "안녕"}, {"type": "video_url"}]}, 1600),
        (
            {
                "content": [
                    {"type": "text", "text": "안녕"},
                    {"type": "file", "file": {"file_data": "A" * 160_000}},
                    {"type": "input_audio", "input_audio": {"data": "A" * 80_000, "format": "mp3"}},
                    {"type": "file", "file": {"file_id": "f"}},
                ]
            },
            10_000 + 5_000 + 1_600,
        ),
        # A quarter on top of what is text.
        ({"content": "안녕", "reasoning_content": "가" * 400}, 500),
        ({"content": "안녕", "refusal": "a" * 400}, 125),
        (
            {"content": [{"type": "text", "text": "안녕"}, {"type": "refusal", "refusal": "가"}]},
            1,
        ),
        ({"content": "안녕", "reasoning_details": [{"signature": "a" * 3_981}]}, 1_250),
    ],
)
def test_everything_that_a_provider_may_count_as_prompt_is_held(message, more):
    billing = Billing(PRICES, Settlement(lambda *_: None, Bench().timers), Rules(), lambda: 0)
    asked = request(messages=[{"role": "user", **message}])
    bill = billing.bill(MEMBER, asked, Bench().dispatcher.attempts(asked))
    assert bill.prompt_tokens == PROMPT_TOKENS + more


def test_a_margin_is_the_members_business():
    settlement = Settlement(lambda *_: None, Bench().timers)
    billing = Billing(PRICES, settlement, Rules(margin_ppm=500_000), lambda: 0)
    attempts = Bench().dispatcher.attempts(request())
    costs = [
        billing.bill(key, request(), attempts).tariffs["p", "m"].cost(Usage(10, 20)).charge_nanos
        for key in (MEMBER, KEY)
    ]
    assert costs == [75, 50]


def reborn(ledger, path, dead=None, **more):
    """Start the next process on what the last one left."""
    if dead is not None:
        dead.journal.close_files()
    journal = SegmentJournal(path, wall_ms=lambda: 1_790_000_000_000)
    alive = bench(ledger, journal=journal, **more)
    recover(alive.dispatcher, journal.recovered())
    alive.timers.advance(CHARGE_DELAY_S)
    return alive


@pytest.mark.parametrize("chunks", range(4))
def test_a_process_that_died_is_charged_by_the_next_one(ledger, tmp_path, chunks):
    grant(ledger, 5000)
    dead = reborn(ledger, tmp_path / "journal")
    stream = dead.create(owner=MEMBER, max_tokens=100)
    dead.timers.tick()
    for _ in range(chunks):
        dead.sink.text("가나")
        dead.timers.tick()
    assert book(ledger)[1] > 0
    alive = reborn(ledger, tmp_path / "journal", dead)
    cost = 2 + 2 * 2 * chunks if chunks else 0
    assert book(ledger) == (5000 - cost, 0)
    (last,) = follow(alive, alive.found(stream.id)).frames()[-1:]
    assert last["cost"] == format_dollars(cost)
    assert ledger._connection.execute("SELECT COUNT(*) FROM charge").fetchone() == (1,)
    alive.journal.close_files()


def test_a_charge_that_was_not_booked_is_booked_from_the_terminal_record(ledger, tmp_path):
    grant(ledger, 5000)
    dead = reborn(ledger, tmp_path / "journal")
    dead.create(owner=MEMBER, max_tokens=100)
    dead.timers.tick()
    dead.settlement._commit = lambda *_: None  # it dies before
    finish(dead, Usage(10, 20))
    assert book(ledger)[0] == 5000
    for _ in range(2):
        dead = reborn(ledger, tmp_path / "journal", dead)
        assert book(ledger) == (4950, 0)
    dead.journal.close_files()


def test_the_next_process_charges_who_served_it_in_its_tier(ledger, tmp_path):
    grant(ledger, 5000)
    providers = [ScriptedProvider("first"), ScriptedProvider("second")]
    dead = reborn(ledger, tmp_path / "journal", providers=providers)
    dead.create(owner=MEMBER, max_tokens=100)
    dead.timers.tick()
    providers[0].sink.fail(ProviderCutOff("No."))
    providers[1].sink.head("m", None, "flex")
    providers[1].sink.text("가나")
    dead.timers.tick()
    alive = reborn(ledger, tmp_path / "journal", dead, providers=providers)
    row = ledger._connection.execute("SELECT provider, cost_nanos FROM charge").fetchone()
    assert row == ("second", 3)  # half of two in, and of two times two out
    alive.journal.close_files()


def test_a_refused_stream_leaves_nothing_behind(ledger, tmp_path):
    dead = reborn(ledger, tmp_path / "journal")
    options = Options(on_disconnect_cancel=False, orphan_timeout_s=60.0, idempotency_key="again")
    refused = dead.create(options, owner=MEMBER, max_tokens=100)
    dead.timers.tick()
    alive = reborn(ledger, tmp_path / "journal", dead)
    grant(ledger, 5000)
    assert alive.create(options, owner=MEMBER, max_tokens=100).id != refused.id
    alive.journal.close_files()
