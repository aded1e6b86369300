"""The tree of errors: what clients and SDKs rely on."""

import re
from collections.abc import Iterator

import pytest

from tokenferry import errors
from tokenferry.errors import (
    GatewayError,
    LimitError,
    ProviderError,
    ProviderRejected,
    RequestError,
    TokenferryError,
)

NAME = re.compile(r"^(?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+)", re.MULTILINE)
BRANCH_CHARACTERS = 4
CODE = re.compile(r"[a-z]+(_[a-z]+)*")


def tree(error: type[TokenferryError] = TokenferryError) -> Iterator[type[TokenferryError]]:
    """Yield every class of the package, a parent right before its children."""
    yield error
    for child in error.__subclasses__():
        if child.__module__.startswith(f"{errors.__name__}."):
            yield from tree(child)


EVERY = list(tree())


def test_the_docstring_draws_the_tree() -> None:
    drawing = (errors.__doc__ or "").partition("\n\nEach class")[0].partition("\n\n")[2]
    drawn, path = set(), []
    for match in NAME.finditer(drawing):
        path[len(match["branch"]) // BRANCH_CHARACTERS :] = [match["name"]]
        drawn.add(tuple(path[-2:]))
    children = {(error.__base__.__name__, error.__name__) for error in EVERY[1:]}
    assert drawn == children | {("TokenferryError",)}


@pytest.mark.parametrize("error", EVERY)
class TestEveryError:
    def test_has_what_clients_read(self, error: type[TokenferryError]) -> None:
        assert CODE.fullmatch(error.code)
        assert error.type.endswith("_error")
        assert 400 <= error.http_status < 600

    def test_closes_with_a_code_that_may_be_sent(self, error: type[TokenferryError]) -> None:
        code = error.close_code
        assert code is None or code in (1008, 1009, 1011, 1012, 1013) or 4000 <= code < 4300

    def test_tells_the_client_the_same_in_code_and_word(self, error: type[TokenferryError]) -> None:
        """4000 to 4099 mean "do not retry"; only a limit on connections may look retryable."""
        if error.retryable and not issubclass(error, LimitError):
            assert error.close_code is None or not 4000 <= error.close_code < 4100

    def test_blames_the_right_side(self, error: type[TokenferryError]) -> None:
        if issubclass(error, RequestError):
            assert error.http_status < 500
            assert not error.retryable
        if issubclass(error, LimitError):
            assert error.http_status == 429
            assert error.retryable
        if issubclass(error, GatewayError | ProviderError):
            assert error.http_status >= 500


def test_an_error_carries_what_it_was_given() -> None:
    error = errors.RateLimited("Wait.", param="model", retry_after_ms=250)
    assert str(error) == error.message == "Wait."
    assert (error.param, error.retry_after_ms) == ("model", 250)


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        (400, False), (401, False), (402, False), (404, False), (408, True), (409, True),
        (422, False), (429, True), (499, False), (500, True), (503, True), (529, True),
    ],
)  # fmt: skip
def test_a_rejection_is_retryable_as_the_sdks_decide(status: int, *, retryable: bool) -> None:
    error = ProviderRejected("No.", status=status)
    assert (error.http_status, error.retryable) == (status, retryable)
    assert (error.code, error.type) == ("provider_error", "provider_error")


def test_a_rejection_keeps_the_provider_s_words() -> None:
    error = ProviderRejected(
        "Slow down.", status=429, code="too_fast", type="rate_limit_error", retry_after_ms=7000
    )
    assert (error.code, error.type, error.retry_after_ms) == ("too_fast", "rate_limit_error", 7000)
    assert ProviderRejected.code == "provider_error"
