"""What axe-core finds in a page, and in which looks pages are examined.

Structure does not depend on the theme, nor do colours on the language or the width: two looks see
everything. With AXE_EVERY set (`make axe`), every combination is examined all the same.
"""

import os
from itertools import product

from playwright.async_api import Page

from harness.components import WEB

AXE = WEB / "node_modules" / "axe-core" / "axe.min.js"
# WCAG 2.2 AA, and what axe's authors call best practice.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
DESK, PHONE = 1280, 360
EVERY = bool(os.environ.get("AXE_EVERY"))
LOOKS = (
    list(product(("en", "ko"), ("light", "dark"), (DESK, PHONE)))
    if EVERY
    else [("en", "light", DESK), ("ko", "dark", PHONE)]
)
_RUN = """([scope, rules]) => axe.run(
  scope ?? document, { runOnly: rules, resultTypes: ["violations"], elementRef: false }
)"""


async def faults(page: Page, *, scope: str | None = None, rules: list[str] = TAGS) -> list[str]:
    """Return what axe finds, one line an element."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE.read_text("utf-8"))
    found = await page.evaluate(_RUN, [scope, rules])
    return [
        f"{rule['id']}: {node['html'][:200]}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


async def excess_px(page: Page) -> int:
    """Return by how much the page is wider than its window."""
    root = "document.documentElement"
    excess: int = await page.evaluate(f"{root}.scrollWidth - {root}.clientWidth")
    return excess


async def examine(page: Page, what: str, *, scope: str | None = None) -> None:
    """See that axe has nothing to say, and that the page does not scroll sideways."""
    found = await faults(page, scope=scope)
    assert not found, (what, found)
    excess = await excess_px(page)
    assert excess <= 0, (what, excess)
