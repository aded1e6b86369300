"""Writes the parts of the documents that come from the code: `python docs/generate.py`.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`; what is outside is
written by hand. The tests fail when a part is not what the code would write today.
"""

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import tokenferry
from tokenferry.errors import ProviderRejected, TokenferryError
from tokenferry.providers import anthropic, chat_completions, gemini

ROOT = Path(__file__).parents[1]
PART = re.compile(
    r"(?P<start><!-- generated: (?P<name>[a-z_]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL
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


def errors() -> str:
    """Return the table of every error that a client can meet."""

    def rows() -> Iterator[tuple[str, ...]]:
        for error in sorted(error_classes(), key=_order):
            as_theirs = error is ProviderRejected
            yield (
                f"`{error.code}`" + (", or the provider's own" if as_theirs else ""),
                f"`{error.type}`" + (", or the provider's own" if as_theirs else ""),
                "the provider's" if as_theirs else str(error.http_status),
                str(error.close_code or "none"),
                "by its status" if as_theirs else ("yes" if error.retryable else "no"),
                (error.__doc__ or "").strip().partition("\n")[0],
            )

    header = ("`code`", "`type`", "HTTP status", "close code", "retryable", "meaning")
    return table(header, rows())


def _order(error: type[TokenferryError]) -> tuple[int, int, str]:
    """Sort by family, then by status, then by code."""
    names = [parent.__name__ for parent in error.__mro__]
    family = next(n for n, name in enumerate(FAMILIES) if name in names)
    return family, error.http_status, error.code


def parameters(mapping: Mapping[str, str]) -> str:
    """Return what becomes of each request field, as a table."""

    def rows() -> Iterator[tuple[str, ...]]:
        for name, fate in mapping.items():
            word, _, rest = fate.partition(":")
            shown = name if name.startswith("(") else f"`{name}`"
            yield shown, word.strip(), rest.strip()

    return table(("field", "what becomes of it", "how"), rows())


PARTS: Mapping[str, Callable[[], str]] = {
    "errors": errors,
    "chat_completions": lambda: parameters(chat_completions.PARAMETERS),
    "anthropic": lambda: parameters(anthropic.PARAMETERS),
    "gemini": lambda: parameters(gemini.PARAMETERS),
}
# Document, and the parts that it must have.
DOCUMENTS = {
    "docs/errors.md": ("errors",),
    "docs/providers.md": ("chat_completions", "anthropic", "gemini"),
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
