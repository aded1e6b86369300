"""Costs: vectors worked out by hand, in nano-dollars, and what must hold of every price."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.price_form import read_terms
from tokenferry.domain.price_terms import (
    Rates,
    Scale,
    Terms,
    Tier,
    complete_rates,
)
from tokenferry.domain.pricing import (
    AFFORDED_TOKENS_MAX,
    SAID_MAX,
    Cost,
    Price,
    PriceBook,
    Retirement,
    Tariff,
    with_margin,
)
from tokenferry.domain.usage import Usage

THURSDAY_MS = 1_795_651_200_000  # 2026-11-26
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

GPT_41_MINI = read_terms({"rates": {"input": "0.40", "cached_input": "0.10", "output": "1.60"}})
CLAUDE_SONNET_45 = read_terms(
    {
        "rates": {
            "input": "3.00",
            "cached_input": "0.30",
            "cache_write": "3.75",
            "cache_write_1h": "6.00",
            "output": "15.00",
        },
        "tiers": [
            {
                "above_prompt_tokens": 200_000,
                "rates": {
                    "input": "6.00",
                    "cached_input": "0.60",
                    "cache_write": "7.50",
                    "cache_write_1h": "12.00",
                    "output": "22.50",
                },
            }
        ],
    }
)
PEAK = {"input": "0.30", "cached_input": "0.006", "output": "1.20"}
DEEPSEEK_FLASH = read_terms(
    {
        "rates": {"input": "0.15", "cached_input": "0.003", "output": "0.60"},
        "windows": [
            {"from": "01:00", "to": "04:00", "days": "mon-fri", "rates": PEAK},
            {"from": "06:00", "to": "10:00", "days": "mon-fri", "rates": PEAK},
        ],
    }
)
WRITTEN = {"cached_tokens": 150_000, "cache_write_tokens": 40_000, "cache_write_1h_tokens": 10_000}


def tariff(terms: Terms, now_ms: int = THURSDAY_MS, **more) -> Tariff:
    found = PriceBook([Price("m", 0, terms)]).tariff("p", "m", now_ms, **more)
    assert found is not None
    return found


class TestVectors:
    @pytest.mark.parametrize(
        ("terms", "usage", "cost"),
        [
            # 400 * 400 + 600 * 100 + 200 * 1,600; saved 600 * 300.
            (GPT_41_MINI, Usage(1000, 200, 600), Cost(540_000, 540_000, 180_000)),
            (GPT_41_MINI, Usage(1, 0), Cost(400, 400, 0)),
            (GPT_41_MINI, Usage(0, 1), Cost(1600, 1600, 0)),
            (GPT_41_MINI, Usage(0, 0), Cost(0, 0, 0)),
            (GPT_41_MINI, Usage(1000, 1000, 1000), Cost(1_700_000, 1_700_000, 300_000)),
            # 150,000 * 300 + 30,000 * 3,750 + 10,000 * 6,000 + 10,000 * 3,000 + 1,000 * 15,000;
            # saved 150,000 * 2,700 - 30,000 * 750 - 10,000 * 3,000.
            (
                CLAUDE_SONNET_45,
                Usage(200_000, 1000, **WRITTEN),
                Cost(262_500_000, 262_500_000, 352_500_000),
            ),
            # One token more, and all of it costs twice as much, the output half as much again:
            # 150,000 * 600 + 30,000 * 7,500 + 10,000 * 12,000 + 10,001 * 6,000 + 1,000 * 22,500.
            (
                CLAUDE_SONNET_45,
                Usage(200_001, 1000, **WRITTEN),
                Cost(517_506_000, 517_506_000, 705_000_000),
            ),
            # A cache that is only written to costs more than it saves.
            (
                CLAUDE_SONNET_45,
                Usage(1000, 0, cache_write_tokens=1000),
                Cost(3_750_000, 3_750_000, -750_000),
            ),
        ],
    )
    def test_list_prices(self, terms, usage, cost):
        assert tariff(terms).cost(usage) == cost

    @pytest.mark.parametrize(
        ("after_midnight_ms", "nanos"),
        [
            # Off-peak 100 * 150 + 900 * 3 + 100 * 600, at peak twice that.
            (0, 77_700),
            (HOUR - 1, 77_700),
            (HOUR, 155_400),
            (4 * HOUR - 1, 155_400),
            (4 * HOUR, 77_700),
            (6 * HOUR - 1, 77_700),
            (6 * HOUR, 155_400),
            (10 * HOUR - 1, 155_400),
            (10 * HOUR, 77_700),
            (DAY + HOUR, 155_400),
            # At weekends there is no peak.
            (2 * DAY + HOUR, 77_700),
            (3 * DAY + HOUR, 77_700),
            (4 * DAY + HOUR, 155_400),
        ],
    )
    def test_peak_and_off_peak(self, after_midnight_ms, nanos):
        found = tariff(DEEPSEEK_FLASH, THURSDAY_MS + after_midnight_ms)
        assert found.cost(Usage(1000, 100, 900)).charge_nanos == nanos

    @pytest.mark.parametrize(
        ("margin_ppm", "charge", "saved"),
        [
            (125_000, 607_500, 202_500),
            (0, 540_000, 180_000),
            (-500_000, 270_000, 90_000),
            (-1_000_000, 0, 0),
            (10_000_000, 5_940_000, 1_980_000),
        ],
    )
    def test_a_margin(self, margin_ppm, charge, saved):
        found = tariff(GPT_41_MINI, margin_ppm=margin_ppm)
        assert found.cost(Usage(1000, 200, 600)) == Cost(charge, 540_000, saved)

    def test_a_cost_is_rounded_up_once(self):
        cheap = read_terms({"rates": {"input": "0.0005", "output": "0.0003"}})
        found = tariff(cheap)
        # Half a nano-dollar, one, one and a half; and 0.5 + 0.3 is one, not two.
        charges = [found.cost(Usage(n, 0)).charge_nanos for n in (1, 2, 3)]
        assert charges == [1, 1, 2]
        assert found.cost(Usage(1, 1)) == Cost(1, 1, 0)
        # 3 * 1.125 is 3.375: the margin is on what was not yet rounded.
        flash = tariff(DEEPSEEK_FLASH, margin_ppm=125_000)
        assert flash.cost(Usage(1, 0, 1)) == Cost(4, 3, 165)
        # 0.5 * 3 is 1.5; from a list price that was rounded first it would be 3.
        assert tariff(cheap, margin_ppm=2_000_000).cost(Usage(1, 0)) == Cost(2, 1, 0)

    def test_what_a_cache_saves_is_rounded_down(self):
        cheap = read_terms(
            {"rates": {"input": "0.001", "cached_input": "0.0005", "output": "1"}}
        ).scale
        found = Tariff(cheap, {})
        assert found.cost(Usage(1, 0, 1)) == Cost(1, 1, 0)
        dear = read_terms({"rates": {"input": "0.001", "cache_write": "0.0015", "output": "1"}})
        assert tariff(dear).cost(Usage(1, 0, cache_write_tokens=1)) == Cost(2, 2, -1)


class TestEachTokenIsBilledOnce:
    RATES = Rates(
        input=1,
        cached_input=10,
        cache_write=100,
        cache_write_1h=1000,
        audio_input=10_000,
        output=100_000,
        reasoning=1_000_000,
        audio_output=10_000_000,
    )

    @pytest.mark.parametrize(
        ("usage", "digits"),
        [
            (Usage(9, 9), 900_009),
            (Usage(9, 9, 1, 2, 3), 3_600_216),
            (Usage(9, 9, 1, 2, 3, 4, 5, cache_write_1h_tokens=2), 53_142_012),
            # Parts that are larger than their whole are cut to it.
            (Usage(9, 0, 10), 90),
            (Usage(9, 0, 5, 6), 450),
            (Usage(9, 0, 5, 2, cache_write_1h_tokens=3), 2052),
            (Usage(9, 0, 5, 2, prompt_audio_tokens=9), 20_250),
            (Usage(0, 9, reasoning_tokens=10), 9_000_000),
            (Usage(0, 9, reasoning_tokens=5, completion_audio_tokens=9), 45_000_000),
            # One hour is a part of the writes, not beside them.
            (Usage(9, 0, cache_write_1h_tokens=3), 9),
            # Less than nothing is nothing.
            (Usage(-1, -1, -1, -1, -1, -1, -1), 0),
            (Usage(9, 9, -1, -1, -1, -1, -1, cache_write_1h_tokens=-1), 900_009),
            # Predictions are output, used or not.
            (Usage(0, 9, accepted_prediction_tokens=4, rejected_prediction_tokens=5), 900_000),
        ],
    )
    def test_as_the_first_thing_that_it_is(self, usage, digits):
        rates = {name: getattr(self.RATES, name) * 1_000_000 for name in self.RATES.__slots__}
        assert Tariff(Scale(Rates(**rates)), {}).cost(usage).list_nanos == digits


class TestServiceTiers:
    TERMS = read_terms(
        {
            "rates": {"input": "2", "output": "10"},
            "service_tiers": {
                "flex": {"rates": {"input": "1", "output": "5"}},
                "priority": {
                    "rates": {"input": "4", "output": "20"},
                    "tiers": [{"above_prompt_tokens": 10, "rates": {"input": "8", "output": "30"}}],
                },
            },
        }
    )

    @pytest.mark.parametrize(
        ("asked", "reported", "nanos"),
        [
            (None, None, 12_000),
            (None, "default", 12_000),
            ("flex", None, 6000),
            ("flex", "flex", 6000),
            ("flex", "default", 12_000),
            ("auto", None, 12_000),
            ("auto", "priority", 24_000),
            (None, "priority", 24_000),
            ("priority", "default", 12_000),
            (None, "a new one", 12_000),
        ],
    )
    def test_what_was_served_is_charged(self, asked, reported, nanos):
        found = tariff(self.TERMS, service_tier=asked)
        assert found.cost(Usage(1, 1), reported).charge_nanos == nanos

    @pytest.mark.parametrize(
        ("asked", "nanos"),
        [
            (None, 12_000),
            ("default", 12_000),
            ("flex", 12_000),
            ("priority", 38_000),
            ("auto", 38_000),
            ("a new one", 12_000),
        ],
    )
    def test_a_hold_is_for_the_dearest_that_may_be_served(self, asked, nanos):
        assert tariff(self.TERMS, service_tier=asked).hold_nanos(1, 1) == nanos

    @pytest.mark.parametrize(
        ("asked", "unknown"),
        [
            (None, None),
            ("auto", None),
            ("default", None),
            ("standard_only", None),
            ("flex", None),
            ("batch", None),
            ("priority", None),
            ("scale", "scale"),
        ],
    )
    def test_a_tier_that_may_be_dearer_than_what_is_known_is_named(self, asked, unknown):
        assert tariff(self.TERMS, service_tier=asked).unknown_service_tier == unknown


class TestHolds:
    def test_by_hand(self):
        found = tariff(CLAUDE_SONNET_45, margin_ppm=125_000)
        # 1,000 * 12,000 + 100 * 22,500, and an eighth more.
        assert found.hold_nanos(1000, 100) == 16_031_250
        assert found.output_tokens_for(16_031_250, 1000) == 100
        assert found.output_tokens_for(16_031_249, 1000) == 99
        # The prompt alone is 13,500,000.
        assert found.output_tokens_for(13_500_000, 1000) == 0
        assert found.output_tokens_for(13_499_999, 1000) == 0
        assert found.output_tokens_for(0, 0) == 0
        assert found.output_tokens_for(-1, 0) == 0
        assert found.hold_nanos(-5, -5) == 0

    def test_it_is_exact_where_a_float_would_not_be(self):
        # 999,999,999 nano-dollars a token.
        rate = 10**15 - 10**6
        found = Tariff(Scale(complete_rates({"input": rate, "output": rate})), {})
        held = found.hold_nanos(0, 123_456_789)
        assert held == 123_456_788_876_543_211
        assert found.output_tokens_for(held, 0) == 123_456_789
        assert found.output_tokens_for(held - 1, 0) == 123_456_788
        assert found.cost(Usage(123_456_789, 0)).charge_nanos == held

    def test_without_a_margin_the_charge_is_the_list_price(self):
        found = tariff(GPT_41_MINI)
        assert found == Tariff(GPT_41_MINI.scale, {})
        assert found.margin_ppm == Tariff(GPT_41_MINI.scale, {}).margin_ppm == 0

    def test_what_costs_nothing_is_afforded(self):
        free = read_terms({"rates": {"input": "1", "output": "0"}})
        assert tariff(free).output_tokens_for(1000, 1) == AFFORDED_TOKENS_MAX
        assert tariff(free).output_tokens_for(999, 1) == 0
        gift = tariff(GPT_41_MINI, margin_ppm=-1_000_000)
        assert gift.output_tokens_for(0, 10**6) == AFFORDED_TOKENS_MAX
        assert gift.hold_nanos(10**6, 10**6) == 0

    def test_limits_are_told(self):
        terms = replace(GPT_41_MINI, output_tokens_max=32_768, context_tokens_max=1_047_576)
        found = tariff(terms)
        assert (found.output_tokens_max, found.context_tokens_max) == (32_768, 1_047_576)


nanos = st.integers(0, 10**12)
rates = st.builds(Rates, **dict.fromkeys(Rates.__slots__, nanos))
scales = st.builds(
    Scale,
    rates,
    st.lists(rates, max_size=2).map(
        lambda items: tuple(Tier(50 * (n + 1), item) for n, item in enumerate(items))
    ),
)
tariffs = st.builds(
    Tariff,
    scales,
    st.dictionaries(st.sampled_from(("flex", "priority")), scales),
    st.sampled_from((None, "default", "flex", "priority", "auto")),
    st.integers(-1_000_000, 10_000_000),
)
tokens = st.integers(0, 300)
usages = st.builds(Usage, *(tokens,) * 7, cache_write_1h_tokens=tokens)


class TestProperties:
    @given(tariffs, usages, st.data())
    def test_nothing_costs_more_than_what_is_held(self, found, usage, data):
        served = [None, "default"]
        if found.asked_tier == "auto":
            served += ["flex", "priority"]
        elif found.asked_tier is not None:
            served.append(found.asked_tier)
        cost = found.cost(usage, data.draw(st.sampled_from(served)))
        held = found.hold_nanos(usage.prompt_tokens, usage.completion_tokens)
        assert 0 <= cost.charge_nanos <= held

    @given(tariffs, st.integers(0, 10**12), tokens)
    def test_what_an_amount_affords_is_the_most_that_it_can_hold(self, found, amount, prompt):
        afforded = found.output_tokens_for(amount, prompt)
        if afforded:
            assert found.hold_nanos(prompt, afforded) <= amount
        if afforded < AFFORDED_TOKENS_MAX:
            assert found.hold_nanos(prompt, afforded + 1) > amount

    @given(tariffs, usages)
    def test_the_saving_is_what_would_be_charged_without_a_cache(self, found, usage):
        cost = found.cost(usage)
        plain = usage._replace(
            # Audio that was cached is not told apart from text that was.
            prompt_audio_tokens=0,
            cached_tokens=0,
            cache_write_tokens=0,
        )
        cached = usage._replace(prompt_audio_tokens=0)
        without = found.cost(plain).charge_nanos
        difference = without - found.cost(cached).charge_nanos
        assert abs(difference - cost.cache_saved_nanos) <= 1

    @given(tariffs, usages, tokens)
    def test_more_output_never_costs_less(self, found, usage, more):
        # More output than its parts, that is: what is added must not change what the rest is.
        parts = usage.reasoning_tokens + usage.completion_audio_tokens
        usage = usage._replace(completion_tokens=parts)
        longer = usage._replace(completion_tokens=parts + more)
        assert found.cost(longer).charge_nanos >= found.cost(usage).charge_nanos

    @given(tariffs, usages)
    def test_the_charge_is_the_list_price_and_its_margin(self, found, usage):
        charge, listed, _ = found.cost(usage)
        assert with_margin(listed - 1, found.margin_ppm) <= charge
        assert charge <= with_margin(listed, found.margin_ppm)


def flat(dollars: int, **more) -> Terms:
    one = dollars * 10**9
    return Terms(Scale(complete_rates({"input": one, "output": one})), **more)


def price_of(book: PriceBook, provider: str, model: str, now_ms: int = 1000) -> int | None:
    found = book.tariff(provider, model, now_ms)
    return None if found is None else found.scale.rates.input // 10**9


class TestLookup:
    def test_nothing_is_known_of_what_has_no_price(self):
        book = PriceBook([Price("m", 0, flat(1))])
        assert book.tariff("p", "n", 0) is None
        assert book.listing("p", "n", 0) is None
        assert book.retirement("p", "n", 0) is None
        assert book.known("n", 0) is None

    @pytest.mark.parametrize(
        ("shipped", "own", "price"),
        [
            ([("m", 1)], [], 1),
            ([("m", 1)], [("m", 2)], 2),
            ([("p/m", 1)], [("m", 2)], 1),
            ([("p/m", 1), ("m", 3)], [("p/m", 2)], 2),
            ([("m", 1)], [("q/m", 2)], 1),
            ([("q/m", 1)], [], None),
        ],
    )
    def test_the_exact_name_first_and_the_operator_s_own_before_ours(self, shipped, own, price):
        book = PriceBook(
            [Price(name, 0, flat(dollars)) for name, dollars in shipped],
            [Price(name, 0, flat(dollars)) for name, dollars in own],
        )
        assert price_of(book, "p", "m") == price

    def test_the_latest_that_has_begun_counts(self):
        versions = [Price("m", begin, flat(dollars)) for begin, dollars in ((5, 2), (3, 1), (9, 3))]
        book = PriceBook([], versions)
        found = [price_of(book, "p", "m", now) for now in (2, 3, 4, 5, 8, 9, 10)]
        assert found == [None, 1, 1, 2, 2, 3, 3]

    def test_a_price_of_the_operator_s_that_has_not_begun_changes_nothing(self):
        book = PriceBook([Price("m", 0, flat(1))], [Price("m", 50, flat(2))])
        assert price_of(book, "p", "m", 49) == 1
        assert price_of(book, "p", "m", 50) == 2

    def test_the_known_price_of_a_name(self):
        ours, own = Price("m", 0, flat(1)), Price("m", 5, flat(2))
        book = PriceBook([ours], [own])
        assert book.known("m", 4) == ours
        assert book.known("m", 5) == own
        assert book.known("p/m", 5) is None

    def test_limits_that_a_price_leaves_out_are_looked_for_further_on(self):
        book = PriceBook(
            [Price("m", 0, flat(1, context_tokens_max=100, output_tokens_max=10))],
            [Price("p/m", 0, flat(2, output_tokens_max=20))],
        )
        found = book.tariff("p", "m", 0)
        assert found is not None
        assert (found.scale.rates.input, found.output_tokens_max) == (2 * 10**9, 20)
        assert found.context_tokens_max == 100


class TestComing:
    def test_what_will_count_and_nothing_else(self):
        shipped = [Price("m", at, flat(dollars)) for at, dollars in ((0, 1), (2000, 2), (4000, 3))]
        book = PriceBook(shipped)
        assert book.counting("p", "m", 1000) is shipped[0]
        assert book.coming("p", "m", 1000) == shipped[1:]
        assert book.coming("p", "m", 2000) == shipped[2:]
        # One of the operator's own wins over all that comes along under the same name.
        own = [Price("m", 3000, flat(7))]
        book = PriceBook(shipped, own)
        assert book.coming("p", "m", 1000) == [shipped[1], own[0]]
        # And one provider's own over those of the bare name.
        first = Price("p/m", 500, flat(9))
        book = PriceBook(shipped, [first])
        assert book.counting("p", "m", 1000) is first
        assert book.coming("p", "m", 1000) == []
        assert book.coming("q", "m", 1000) == shipped[1:]
        assert book.coming("p", "m", 100) == [first]

    def test_of_what_nobody_knows(self):
        assert PriceBook([]).counting("p", "m", 0) is None
        assert PriceBook([]).coming("p", "m", 0) == []

    def test_whose_a_price_is(self):
        ours, own = Price("m", 0, flat(1)), Price("m", 0, flat(1))
        book = PriceBook([ours], [own])
        assert book.counting("p", "m", 0) is own
        assert book.is_own(own)
        assert not book.is_own(ours)


class TestRetirement:
    END = THURSDAY_MS

    @pytest.mark.parametrize(
        ("provider", "now_ms", "retired"),
        [
            ("openai", END - 1, False),
            ("openai", END, False),
            # The provider may serve it all that day.
            ("openai", END + DAY - 1, False),
            ("openai", END + DAY, True),
            ("my-own-server", END + DAY, False),
        ],
    )
    def test_of_a_shipped_price(self, provider, now_ms, retired):
        terms = flat(1, vendor="openai", shutdown_ms=self.END, successor="n")
        book = PriceBook([Price("m", 0, terms)])
        expected = Retirement("m", self.END, "n") if retired else None
        assert book.retirement(provider, "m", now_ms) == expected
        listing = book.listing(provider, "m", now_ms)
        assert listing is not None
        shown = (self.END, "n") if provider == "openai" else (None, None)
        assert (listing.shutdown_ms, listing.successor) == shown

    def test_of_the_operator_s_own_price(self):
        terms = flat(1, shutdown_ms=self.END)
        book = PriceBook([], [Price("m", 0, terms)])
        assert book.retirement("p", "m", self.END + DAY) == Retirement("m", self.END, None)

    def test_the_operator_s_own_end_wins(self):
        terms = flat(1, vendor="openai", shutdown_ms=self.END, successor="n")
        ours = Price("m", 0, terms)
        later = Price("m", 0, flat(2, shutdown_ms=self.END + 10 * DAY))
        assert PriceBook([ours], [later]).retirement("openai", "m", self.END + DAY) is None
        # It may leave the successor to ours.
        found = PriceBook([ours], [later]).retirement("openai", "m", self.END + 11 * DAY)
        assert found == Retirement("m", self.END + 10 * DAY, "n")
        # A price without an end of its own leaves ours as it is.
        silent = Price("m", 0, flat(2))
        assert PriceBook([ours], [silent]).retirement("openai", "m", self.END + DAY) is not None


def test_a_price_with_its_margin_is_rounded_up():
    assert with_margin(100, 0) == 100
    assert with_margin(100, 125_000) == 113
    assert with_margin(100, -1_000_000) == 0


class TestWhatIsRemembered:
    """A listing is remembered for the minute; what begins or ends is seen in time all the same."""

    def test_a_price_that_begins_at_midnight(self):
        day = 86_400_000
        book = PriceBook([Price("m", 0, flat(1)), Price("m", day, flat(2))])
        before, after = (book.listing("p", "m", moment) for moment in (day - 1, day))
        assert before.terms != after.terms
        assert book.listing("p", "m", day - 1) == before

    def test_a_price_that_begins_in_the_middle_of_a_minute(self):
        book = PriceBook([Price("m", 0, flat(1)), Price("m", 1_500, flat(2))])
        before, after = (book.listing("p", "m", moment) for moment in (1_499, 1_500))
        assert before.terms != after.terms

    def test_names_that_nobody_serves_do_not_pile_up(self):
        book = PriceBook([Price("m", 0, flat(1))])
        for number in range(3 * SAID_MAX):
            assert book.retirement("p", f"none-{number}", 5) is None
        assert len(book._said) <= SAID_MAX
