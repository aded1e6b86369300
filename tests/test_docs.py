"""Documents that are made from the code must be what the code would write today."""

import re
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))

import generate  # noqa: E402 -- it is no module of the package

DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("spec/**/*.md")]
    if path.is_file()
)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
IMAGE_SOURCE = re.compile(r'(?:src|srcset)="(?P<target>[^"]+)"')
HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def document_id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(path: Path) -> set[str]:
    """Return the anchors that a Markdown viewer makes of the headings."""
    titles = HEADING.findall(FENCED.sub("", path.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", generate.DOCUMENTS)
def test_the_generated_parts_are_up_to_date(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert generate.parts_of(text) == generate.DOCUMENTS[name]
    assert generate.fill(text) == text, "run `python docs/generate.py`"


def test_a_stale_part_is_noticed() -> None:
    text = "before\n<!-- generated: errors -->\nwas true once\n<!-- end -->\nafter\n"
    filled = generate.fill(text)
    assert "was true once" not in filled
    assert "`invalid_json`" in filled
    assert filled.startswith("before\n")
    assert filled.endswith("<!-- end -->\nafter\n")
    assert generate.fill(filled) == filled


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [error.code for error in generate.error_classes()]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("path", DOCUMENTS, ids=document_id)
def test_links_within_the_repository_lead_somewhere(path: Path) -> None:
    text = FENCED.sub("", path.read_text("utf-8"))
    for match in [*LINK.finditer(text), *IMAGE_SOURCE.finditer(text)]:
        target, _, anchor = unquote(match["target"]).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        linked = (path.parent / target).resolve() if target else path
        assert linked.exists(), f"{match['target']} is not there"
        if anchor and linked.suffix == ".md":
            assert anchor in anchors(linked), f"{match['target']}: no such heading"


def test_the_architecture_names_every_package_and_module() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    source = ROOT / "src" / "tokenferry"
    modules = [
        path.relative_to(source)
        for path in source.rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
    ]
    assert modules
    # A module is named by its stem in backticks, or its family is: `anthropic_*`.
    named = set(re.findall(r"`([a-z_0-9]+)`", text))
    families = tuple(re.findall(r"`([a-z_0-9]+_)\*`", text))
    missing = [
        str(module)
        for module in modules
        # The modules of a package inside a package are its own business: `demo`.
        if not {module.stem, *module.parts[1:-1]} & named and not module.stem.startswith(families)
    ]
    assert not missing
    packages = {path.name for path in source.iterdir() if path.is_dir()}
    assert packages - {"__pycache__"} <= named
