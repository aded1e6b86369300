"""Documents that are made from the code must be what the code would write today."""

import re
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))

import generate  # noqa: E402 -- it is no module of the package
from pictures.pages import PICTURES  # noqa: E402 -- after the path is set

DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "spec/**/*.md", "clients/*/README*.md")
    for path in ROOT.glob(pattern)
    if path.is_file()
)
# What is for developers of Tokenferry, or normative, or made from the code, is in English alone.
ENGLISH_ONLY = {"docs/known-failures.md", "docs/mutants.md"}
KOREAN = sorted(path for path in DOCUMENTS if path.name.endswith(".ko.md"))
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
IMAGE_SOURCE = re.compile(r'(?:src|srcset)="(?P<target>[^"]+)"')
HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
LEVEL = re.compile(r"^(#+) ", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
# What people read in an example, and may be in their own language: comments and quoted texts.
COMMENT = re.compile(r"\s+(?:#|//).*$|^#.*$|\"[^\"]*\"|'[^']*'", re.MULTILINE)
LOOKS = ("light", "dark")
# Whoever clones the repository loads them.
PICTURES_BYTES_MAX = 6_000_000
EXAMPLES = sorted(path for path in ROOT.glob("docs/examples/*/*") if path.is_file())


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


def english_of(path: Path) -> Path:
    return path.with_name(path.name.replace(".ko.md", ".md"))


def test_every_page_for_users_is_there_in_both_languages() -> None:
    pages = [*ROOT.glob("docs/*.md"), *ROOT.glob("docs/guides/*.md"), ROOT / "README.md"]
    names = {document_id(path) for path in pages} - ENGLISH_ONLY
    korean = {name for name in names if name.endswith(".ko.md")}
    missing = {name for name in names - korean if name.replace(".md", ".ko.md") not in names}
    assert missing <= {"README.md"}
    assert (ROOT / "README.ko.md").is_file()
    assert all(name.replace(".ko.md", ".md") in names for name in korean)


@pytest.mark.parametrize("path", KOREAN, ids=document_id)
def test_both_languages_have_the_same_headings_and_examples(path: Path) -> None:
    korean, english = path.read_text("utf-8"), english_of(path).read_text("utf-8")
    levels = [LEVEL.findall(FENCED.sub("", text)) for text in (english, korean)]
    assert levels[0] == levels[1]
    blocks = [FENCED.findall(text) for text in (english, korean)]
    # A guide's are the same to the letter: the tests run one of them.
    if path.parent.name != "guides" and path.name != "quick-start.ko.md":
        blocks = [[COMMENT.sub("", block) for block in some] for some in blocks]
    assert blocks[0] == blocks[1]


@pytest.mark.parametrize("path", KOREAN, ids=document_id)
def test_both_languages_lead_to_each_other_and_stay_in_theirs(path: Path) -> None:
    english = english_of(path)
    assert f"]({path.name})" in english.read_text("utf-8")
    text = FENCED.sub("", path.read_text("utf-8"))
    assert f"]({english.name})" in text
    strangers = [
        match["target"]
        for match in LINK.finditer(text)
        if (target := match["target"].partition("#")[0]).endswith(".md")
        and target != english.name
        and not target.endswith(".ko.md")
        and (path.parent / target).with_suffix(".ko.md").is_file()
    ]
    # One line of a page may lead to what only the English one has.
    assert not strangers


@pytest.mark.parametrize("path", EXAMPLES, ids=document_id)
def test_every_example_stands_in_a_page_as_it_is(path: Path) -> None:
    code = path.read_text("utf-8")
    for language in (".md", ".ko.md"):
        pages = [
            page
            for page in DOCUMENTS
            if page.name.endswith(language) and f"\n{code}```" in page.read_text("utf-8")
        ]
        assert pages, f"no page in {language} has it"


@pytest.mark.parametrize(
    ("page", "file"),
    [
        ("deploy-nginx", "deploy/nginx/tokenferry.conf"),
        ("deploy-caddy", "deploy/caddy/Caddyfile"),
    ],
)
def test_guides_show_the_files_that_are_tested(page: str, file: str) -> None:
    text = (ROOT / file).read_text("utf-8")
    assert f"\n{text}```" in (ROOT / "docs" / "guides" / f"{page}.md").read_text("utf-8")


def test_what_has_no_korean_is_named() -> None:
    with pytest.raises(LookupError, match=r"korean\.toml lacks \[errors\] 'no_such_code'"):
        generate.korean("errors", "no_such_code")
    codes = {error.code for error in generate.error_classes()}
    assert set(generate.KOREAN["errors"]) == codes


class TestPictures:
    """Every page has a picture, in both languages and both colour schemes."""

    def test_every_page_of_the_console_has_one(self) -> None:
        routes = [ROOT / "web/src/console" / name for name in ("routes.ts", "admin/pages.ts")]
        paths = [
            path
            for route in routes
            for path in re.findall(r'path: "([^"]+)"', route.read_text("utf-8"))
        ]
        assert len(paths) > len(PICTURES) // 2
        shown = {re.sub(r"\{\w+\}", ":id", picture.path.split("#")[0]) for picture in PICTURES}
        assert set(paths) <= shown

    @pytest.mark.parametrize("language", ["en", "ko"])
    def test_every_picture_is_shown(self, language: str) -> None:
        page = ROOT / "docs" / {"en": "pages.md", "ko": "pages.ko.md"}[language]
        shown = re.findall(r"\]\(images/(.+?)\)", page.read_text("utf-8"))
        assert shown == list(dict.fromkeys(shown))
        taken = {f"{each.name}-{language}-{look}.png" for each in PICTURES for look in LOOKS}
        assert set(shown) == taken
        assert all((ROOT / "docs/images" / name).is_file() for name in taken)

    def test_they_are_small(self) -> None:
        sizes = [path.stat().st_size for path in (ROOT / "docs/images").glob("*.png")]
        assert len(sizes) == 4 * len(PICTURES), "a picture that is of no page"
        assert sum(sizes) < PICTURES_BYTES_MAX
