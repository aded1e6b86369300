"""The driver: takes a picture of every page, in both languages and both colour schemes.

    make pictures                                      all of them, into docs/images
    make pictures ARGS="--only keys --only usage"      some of them
    make pictures ARGS="--width 390 --to /tmp/phone"   as on a phone, to look at

They differ a little each time: names of streams are random, and days go on.
"""

import argparse
import asyncio
import base64
import shutil
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from harness.accounts import COOKIE
from pictures.pages import PICTURES, Language, Picture
from pictures.world import World, open_world

IMAGES = Path(__file__).parents[1] / "docs" / "images"
PALETTE = Path(__file__).with_name("palette.js").read_text("utf-8")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
LANGUAGES: tuple[Language, ...] = ("en", "ko")
SCHEMES = ("light", "dark")
DESK_WIDTH_PX, HEIGHT_PX = 1280, 840
# Longer pages are cut: there is more of the same below.
HEIGHT_PX_MAX = 1600
TIMEOUT_MS = 20_000


def main() -> None:
    """Parse the command line and take the pictures."""
    parser = argparse.ArgumentParser(prog="python -m pictures.run")
    parser.add_argument("--only", action="append", choices=[each.name for each in PICTURES])
    parser.add_argument("--width", type=int, default=DESK_WIDTH_PX)
    parser.add_argument("--to", type=Path, default=IMAGES)
    given = parser.parse_args()
    wanted = [each for each in PICTURES if not given.only or each.name in given.only]
    given.to.mkdir(parents=True, exist_ok=True)
    asyncio.run(_take_all(wanted, given.width, given.to))


async def _take_all(wanted: list[Picture], width: int, to: Path) -> None:
    with tempfile.TemporaryDirectory() as directory:
        print("Making some weeks of requests ...")
        async with (
            open_world(Path(directory) / "gateway") as world,
            async_playwright() as playwright,
        ):
            browser = await playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
            )
            blank = await browser.new_page()
            for language, scheme in product(LANGUAGES, SCHEMES):
                # What payment pages say is in the language of the account.
                await world.member.call("PATCH", "/api/account", {"language": language})
                for picture in wanted:
                    taken = await _take(browser, world, picture, language, scheme, width)
                    small = await _small(blank, taken)
                    path = to / f"{picture.name}-{language}-{scheme}.png"
                    path.write_bytes(small)
                    print(f"{path.name:36} {len(small) / 1000:6.1f} kB")
            await browser.close()


async def _take(
    browser: Browser, world: World, picture: Picture, language: Language, scheme: Any, width: int
) -> bytes:
    context = await _context(browser, world, picture, language, scheme, width)
    page = await context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    async with picture.meanwhile(world):
        await page.goto(picture.address(world))
        await expect(page.get_by_role("heading", level=1).first).to_be_attached()
        await expect(page.locator(".loading")).to_have_count(0)
        await page.wait_for_load_state("networkidle")
        if picture.step:
            await picture.step(page, world, language)
        height = HEIGHT_PX
        if picture.is_whole:
            whole = await page.evaluate("document.documentElement.scrollHeight")
            height = min(whole, HEIGHT_PX_MAX)
            await page.set_viewport_size({"width": width, "height": height})
        # Nothing is focused that nobody has focused, and no pointer is over anything.
        await page.mouse.move(0, 0)
        taken = await page.screenshot(animations="disabled", caret="hide")
    await context.close()
    return taken


async def _context(
    browser: Browser, world: World, picture: Picture, language: Language, scheme: Any, width: int
) -> BrowserContext:
    context = await browser.new_context(
        locale={"en": "en-US", "ko": "ko-KR"}[language],
        timezone_id="Asia/Seoul",
        viewport={"width": width, "height": HEIGHT_PX},
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    whose = {"member": world.member, "admin": world.admin}.get(picture.who)
    if whose:
        cookie = {"name": COOKIE, "value": whose.token, "url": world.gateway.url}
        await context.add_cookies([cookie])  # type: ignore[list-item]
    return context


async def _small(blank: Page, taken: bytes) -> bytes:
    """Return a picture with fewer colours."""
    return base64.b64decode(await blank.evaluate(PALETTE, base64.b64encode(taken).decode()))


if __name__ == "__main__":
    main()
