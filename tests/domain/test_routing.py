"""What a model's name leads to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.routing import ALIAS_OWNER, Candidate, Catalog, ModelEntry
from tokenferry.errors import ModelNotFound

MODELS = [
    ("openai", "gpt-4.1"),
    ("openai", "gpt-4.1-mini"),
    ("azure", "gpt-4.1"),
    ("router", "openai/gpt-4.1"),
    ("router", "meta/llama-3"),
    ("내서버", "엑사원"),
]
ALIASES = [("fast", [("openai", "gpt-4.1-mini"), ("router", "meta/llama-3")])]


@pytest.fixture
def catalog() -> Catalog:
    return Catalog(MODELS, ALIASES)


@pytest.mark.parametrize(
    ("name", "candidates"),
    [
        ("gpt-4.1-mini", [("openai", "gpt-4.1-mini")]),
        ("gpt-4.1", [("openai", "gpt-4.1"), ("azure", "gpt-4.1")]),
        ("azure/gpt-4.1", [("azure", "gpt-4.1")]),
        ("fast", [("openai", "gpt-4.1-mini"), ("router", "meta/llama-3")]),
        ("meta/llama-3", [("router", "meta/llama-3")]),
        ("router/meta/llama-3", [("router", "meta/llama-3")]),
        # The provider called openai wins over the aggregator's name for it.
        ("openai/gpt-4.1", [("openai", "gpt-4.1")]),
        ("router/openai/gpt-4.1", [("router", "openai/gpt-4.1")]),
        ("내서버/엑사원", [("내서버", "엑사원")]),
    ],
)
def test_resolve(catalog: Catalog, name: str, candidates: list[tuple[str, str]]) -> None:
    assert catalog.resolve(name) == tuple(Candidate(*pair) for pair in candidates)


def test_each_name_is_listed_once_aliases_first(catalog: Catalog) -> None:
    assert catalog.listing() == [
        ModelEntry("fast", ALIAS_OWNER),
        ModelEntry("gpt-4.1", "openai"),
        ModelEntry("gpt-4.1-mini", "openai"),
        ModelEntry("openai/gpt-4.1", "openai"),
        ModelEntry("meta/llama-3", "router"),
        ModelEntry("엑사원", "내서버"),
    ]


def test_one_entry_by_any_name(catalog: Catalog) -> None:
    assert catalog.entry("fast") == ("fast", ALIAS_OWNER)
    assert catalog.entry("azure/gpt-4.1") == ("azure/gpt-4.1", "azure")
    assert catalog.entry("gpt-4.1") == ("gpt-4.1", "openai")


@pytest.mark.parametrize("lookup", ["resolve", "entry"])
def test_an_unknown_name_brings_near_ones(catalog: Catalog, lookup: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        getattr(catalog, lookup)("gpt-4.1-min")
    message = caught.value.message
    assert "'gpt-4.1-min'" in message
    assert "Near names: gpt-4.1-mini, gpt-4.1" in message
    assert "GET /v1/models" in message
    assert (caught.value.param, caught.value.http_status) == ("model", 404)


def test_at_most_five_near_names() -> None:
    catalog = Catalog([("p", f"model-{number}") for number in range(9)])
    with pytest.raises(ModelNotFound) as caught:
        catalog.resolve("model-x")
    assert caught.value.message.count("model-") == 1 + 5


def test_nothing_near_is_said_so(catalog: Catalog) -> None:
    with pytest.raises(ModelNotFound) as caught:
        catalog.resolve("zzzzzzzz")
    assert "Near" not in caught.value.message


def test_a_long_unknown_name_is_cut(catalog: Catalog) -> None:
    with pytest.raises(ModelNotFound) as caught:
        catalog.resolve("x" * 1_000_000)
    assert len(caught.value.message) < 300


def test_names_are_case_sensitive_and_whole(catalog: Catalog) -> None:
    for name in ("GPT-4.1", "gpt-4.1 ", "", "openai/", "/gpt-4.1", "azure/gpt-4.1-mini"):
        with pytest.raises(ModelNotFound):
            catalog.resolve(name)


@pytest.mark.parametrize("candidates", [[], [("openai", "nope")], [("nope", "gpt-4.1")]])
def test_an_alias_must_lead_somewhere(candidates: list[tuple[str, str]]) -> None:
    with pytest.raises(ValueError, match="alias 'fast'"):
        Catalog(MODELS, [("fast", candidates)])


names = st.text(st.sampled_from("ab/"), min_size=1, max_size=4)
pairs = st.lists(st.tuples(st.sampled_from("ab"), names), unique=True, max_size=8)


@given(pairs)
def test_every_listed_and_every_qualified_name_resolves(models: list[tuple[str, str]]) -> None:
    catalog = Catalog(models)
    listed = [entry.id for entry in catalog.listing()]
    assert len(listed) == len(set(listed))
    assert set(listed) == {model for _, model in models}
    for provider, model in models:
        assert catalog.resolve(f"{provider}/{model}") == ((provider, model),)
    for entry in catalog.listing():
        assert catalog.entry(entry.id) == entry
        assert set(catalog.resolve(entry.id)) <= set(models)
        assert catalog.resolve(entry.id)[0].provider == entry.provider


def test_all_names_that_a_request_goes_by() -> None:
    catalog = Catalog(
        [("a", "m"), ("b", "m"), ("b", "x/y")], [("fast", [("b", "x/y"), ("a", "m")])]
    )
    assert catalog.names_of("m") == ("m", "a/m")
    assert catalog.names_of("b/m") == ("b/m", "m")
    assert catalog.names_of("fast") == ("fast", "x/y", "b/x/y")
    assert catalog.names_of("nope") == ()
