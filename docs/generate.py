"""Writes the parts of the documents that come from the code: `python docs/generate.py`.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`; what is outside is
written by hand. The tests fail when a part is not what the code would write today.
"""

import importlib
import pkgutil
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import tokenferry
from tokenferry.errors import ProviderRejected, TokenferryError
from tokenferry.providers import anthropic, chat_completions, gemini

ROOT = Path(__file__).parents[1]
PART = re.compile(
    r"(?P<start><!-- generated: (?P<name>[a-z_]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL
)
# What is said in Korean, by the English that the code has.
KOREAN: Mapping[str, Mapping[str, str]] = tomllib.loads(
    (ROOT / "docs" / "korean.toml").read_text("utf-8")
)
# Classes that only gather others.
FAMILIES = (
    "RequestError",
    "AuthenticationError",
    "PermissionRefused",
    "PaymentRequired",
    "PaymentError",
    "LimitError",
    "GatewayError",
    "ProviderError",
)


def table(header: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [header, ("---",) * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def error_classes() -> list[type[TokenferryError]]:
    """Return every error of the package that stands for something, families left out."""
    for module in pkgutil.walk_packages(tokenferry.__path__, "tokenferry."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: list[type[TokenferryError]] = []
    waiting = [TokenferryError]
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        ours = error.__module__.startswith(f"{tokenferry.__name__}.")
        if ours and error is not TokenferryError and error.__name__ not in FAMILIES:
            found.append(error)
    return found


def korean(section: str, english: str) -> str:
    """Return the Korean of a text.

    Raises:
        LookupError: If docs/korean.toml has none.
    """
    try:
        return KOREAN[section][english]
    except KeyError:
        raise LookupError(f"docs/korean.toml lacks [{section}] {english!r}") from None


def errors(language: str = "en") -> str:
    """Return the table of every error that a client can meet."""

    def word(english: str) -> str:
        return korean("words", english) if language == "ko" else english

    def rows() -> Iterator[tuple[str, ...]]:
        for error in sorted(error_classes(), key=_order):
            as_theirs = error is ProviderRejected
            theirs = ", " + word("or the provider's own") if as_theirs else ""
            meaning = (error.__doc__ or "").strip().partition("\n")[0]
            yield (
                f"`{error.code}`{theirs}",
                f"`{error.type}`{theirs}",
                word("the provider's") if as_theirs else str(error.http_status),
                str(error.close_code or word("none")),
                word("by its status" if as_theirs else ("yes" if error.retryable else "no")),
                korean("errors", error.code) if language == "ko" else meaning,
            )

    if language == "ko":
        header = ("`code`", "`type`", "HTTP 상태", "종료 코드", "재시도 가능", "뜻")
    else:
        header = ("`code`", "`type`", "HTTP status", "close code", "retryable", "meaning")
    return table(header, rows())


def _order(error: type[TokenferryError]) -> tuple[int, int, str]:
    """Sort by family, then by status, then by code."""
    names = [parent.__name__ for parent in error.__mro__]
    family = next(n for n, name in enumerate(FAMILIES) if name in names)
    return family, error.http_status, error.code


def parameters(mapping: Mapping[str, str], language: str = "en") -> str:
    """Return what becomes of each request field, as a table."""

    def rows() -> Iterator[tuple[str, ...]]:
        for name, fate in mapping.items():
            word, _, rest = (part.strip() for part in fate.partition(":"))
            shown = name if name.startswith("(") else f"`{name}`"
            if language == "ko":
                shown = KOREAN["words"].get(name, shown)
                word = korean("fates", word)
                # One word is the name of a field, in every language.
                rest = korean("hows", rest) if " " in rest else rest
            yield shown, word, rest

    if language == "ko":
        return table(("필드", "처리", "방법"), rows())
    return table(("field", "what becomes of it", "how"), rows())


PARAMETERS = {
    "chat_completions": chat_completions.PARAMETERS,
    "anthropic": anthropic.PARAMETERS,
    "gemini": gemini.PARAMETERS,
}
PARTS: Mapping[str, Callable[[], str]] = {
    "errors": errors,
    "errors_ko": partial(errors, "ko"),
    **{name: partial(parameters, mapping) for name, mapping in PARAMETERS.items()},
    **{f"{name}_ko": partial(parameters, mapping, "ko") for name, mapping in PARAMETERS.items()},
}
# Document, and the parts that it must have.
DOCUMENTS = {
    "docs/errors.md": ("errors",),
    "docs/errors.ko.md": ("errors_ko",),
    "docs/providers.md": ("chat_completions", "anthropic", "gemini"),
    "docs/providers.ko.md": ("chat_completions_ko", "anthropic_ko", "gemini_ko"),
}


def fill(text: str) -> str:
    """Return a document's text with every generated part written anew."""

    def part(match: re.Match[str]) -> str:
        return match["start"] + PARTS[match["name"]]() + match["end"]

    return PART.sub(part, text)


def parts_of(text: str) -> tuple[str, ...]:
    """Return the names of the generated parts that a document has."""
    return tuple(match["name"] for match in PART.finditer(text))


def main() -> None:
    """Write every document that differs."""
    for name in DOCUMENTS:
        path = ROOT / name
        old = path.read_text("utf-8")
        if (new := fill(old)) != old:
            path.write_text(new, "utf-8")


if __name__ == "__main__":
    main()
