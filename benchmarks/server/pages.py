"""The page of people in a real browser: until it is painted first, from a keystroke to its results, and by scrolling.

The same browser opens, in turns, a page of the same bytes that a bare app of Starlette answers from memory: what the
difference is, is ours. It takes Chromium (`make browser` installs it on Debian); without one nothing is measured.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import httpx

from benchmarks.fleet.crowded import all_synced
from benchmarks.fleet.prepared import Prepared, prepare
from benchmarks.fleet.spawned import Spawned, spawned
from benchmarks.measuring.turns import middle, percentile_95
from benchmarks.places.served import serving
from benchmarks.server.pipes import plain_environment
from benchmarks.table.figures import Figure, at_most
from benchmarks.table.group import Extent, Measured

_TYPED = ("zoe m", "lars a", "jose", "engin", "ex", "c", "e", "an", "muller", "ada abb")
_PAUSE = 250  # milliseconds between keystrokes: a connection answers fifty questions in ten seconds
_LOOK = 10  # milliseconds between two looks whether results are there
_FIRST_PAINT = """() => new Promise((done) => {
  const paint = (list) => list.find((one) => one.name === "first-contentful-paint");
  const there = paint(performance.getEntriesByType("paint"));
  if (there) return done(there.startTime);
  new PerformanceObserver((list) => { const one = paint(list.getEntries()); if (one) done(one.startTime); })
    .observe({ type: "paint", buffered: true });
})"""
_WATCH = """() => {
  window.measured = [];
  let typed;
  document.querySelector("#q").addEventListener("input", () => { typed ??= performance.now(); }, { capture: true });
  new MutationObserver(() => {
    if (typed === undefined) return;
    const began = typed;
    typed = undefined;
    requestAnimationFrame(() => window.measured.push(performance.now() - began));
  }).observe(document.querySelector("#results"), { childList: true });
}"""


# As the script of the page goes on to the next rows when somebody has scrolled to the last ones.
_SCROLL = """async (pages) => {
  const measured = [];
  const list = document.querySelector("#results");
  for (let page = 0; page < pages; page += 1) {
    const more = list.querySelector("a[rel=next]");
    if (!more) break;
    const rows = list.querySelectorAll("ol.rows").length;
    const there = new Promise((done) => {
      const watch = new MutationObserver(() => {
        if (list.querySelectorAll("ol.rows").length > rows) { watch.disconnect(); requestAnimationFrame(done); }
      });
      watch.observe(list, { childList: true, subtree: true });
    });
    const began = performance.now();
    more.scrollIntoView();
    await there;
    measured.push(performance.now() - began);
    await new Promise((done) => setTimeout(done, PAUSE));
  }
  return measured;
}"""


@dataclass(slots=True)
class _Side:
    """Milliseconds of one server: of first paints, from keystrokes to results, and to pages of rows by scrolling."""

    paints: list[float] = field(default_factory=list[float])
    keystrokes: list[float] = field(default_factory=list[float])
    scrolled: list[float] = field(default_factory=list[float])


def measured(extent: Extent) -> Measured:
    chromium = shutil.which("chromium") or shutil.which("google-chrome") or os.environ.get("PINGONE_TEST_CHROMIUM")
    if chromium is None:
        return Measured(figures=[], notes=["The pages were not measured: there is no Chromium here (make browser)."])
    users, loads = (2_000, 5) if extent == "fast" else (100_000, 20)
    ours, bare = _sides(chromium, users, loads)
    small = extent == "fast"

    def figure(what: str, of_ours: float, of_bare: float, most: float, *, ratio: bool) -> Figure:
        return Figure(
            what=what,
            against="the same bytes from memory by bare Starlette, in the same browser",
            ours=of_ours,
            yardstick=of_bare,
            unit="ms",
            comparison="ratio" if ratio else "itself",
            promised=at_most(most),
            small=small,
        )

    paint = (middle(ours.paints), middle(bare.paints))
    typed = (percentile_95(ours.keystrokes), percentile_95(bare.keystrokes))
    scrolled = (percentile_95(ours.scrolled), percentile_95(bare.scrolled))
    return Measured(
        figures=[
            figure(f"first contentful paint of {users:,} people", *paint, 300, ratio=False),
            figure("  the same, as a ratio", *paint, 3, ratio=True),
            figure("from a keystroke to its results (95th percentile)", *typed, 100, ratio=False),
            figure("  the same, as a ratio", *typed, 3, ratio=True),
            figure("from the last row to the next page of rows (95th percentile)", *scrolled, 100, ratio=False),
            figure("  the same, as a ratio", *scrolled, 3, ratio=True),
        ]
    )


def _sides(chromium: str, users: int, loads: int) -> tuple[_Side, _Side]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        place = stack.enter_context(serving(size=users))
        prepared = anyio.run(prepare, folder / "state", place, 1)
        env = plain_environment() | {"PINGONE_STATE_DIR": str(prepared.folder)}
        serve = ["-m", "pingone_mcp", "serve", "--port", "0"]
        ours = stack.enter_context(spawned(serve, folder / "ours.log", env, ready="/readyz"))
        anyio.run(all_synced, prepared)
        cookie = _capture(ours, prepared, folder / "static")
        page = ["-m", "benchmarks.server.bare_page", str(folder / "static")]
        bare = stack.enter_context(spawned(page, folder / "bare.log", plain_environment(), ready="/"))
        path = f"/c/{prepared.connections[0]}/people"
        return anyio.run(_in_turns, chromium, (ours.url + path, bare.url + path), cookie, loads)


def _capture(ours: Spawned, prepared: Prepared, folder: Path) -> tuple[str, str]:
    """Keep the page and what it is made of as files, and return the cookie of a session, by its name."""
    (folder / "assets").mkdir(parents=True)
    path = f"/c/{prepared.connections[0]}/people"
    with httpx.Client(base_url=ours.url, trust_env=False) as http:
        signed = http.post("/sign-in", data={"key": prepared.key}, headers={"Origin": ours.url})
        page = http.get(path).raise_for_status().text
        (folder / "page.html").write_text(page)
        (folder / "results.html").write_text(http.get(f"{path}?part=results").raise_for_status().text)
        (folder / "rows.html").write_text(http.get(f"{path}?part=rows").raise_for_status().text)
        for asset in set(re.findall(r'"(/assets/[^"]+)"', page)):
            (folder / asset.lstrip("/")).write_bytes(http.get(asset).raise_for_status().content)
    ((name, value),) = signed.cookies.items()
    return name, value


async def _in_turns(chromium: str, urls: tuple[str, str], cookie: tuple[str, str], loads: int) -> tuple[_Side, _Side]:
    from playwright.async_api import async_playwright  # noqa: PLC0415 - only this group takes a browser

    sides = (_Side(), _Side())
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        context = await browser.new_context(viewport={"width": 1440, "height": 900})
        await context.add_cookies([{"name": cookie[0], "value": cookie[1], "url": urls[0]}])
        for turn in range(loads + 1):
            for url, side in zip(urls, sides, strict=True):
                page = await context.new_page()
                await page.goto(url)
                painted = await page.evaluate(_FIRST_PAINT)
                await page.close()
                if turn:  # the first one fills the caches of both
                    side.paints.append(painted)
            await anyio.sleep(_PAUSE / 1_000)
        for text in _typed(loads):
            for url, side in zip(urls, sides, strict=True):
                page = await context.new_page()
                await page.goto(url)
                side.keystrokes += await _keystrokes(page, text)
                await page.close()
        for url, side in zip(urls, sides, strict=True):
            page = await context.new_page()
            await page.goto(url)
            side.scrolled += await page.evaluate(_SCROLL.replace("PAUSE", str(_PAUSE)), loads * 2)
            await page.close()
        await browser.close()
    return sides


def _typed(loads: int) -> Iterator[str]:
    yield from _TYPED if loads > len(_TYPED) else _TYPED[:3]


async def _keystrokes(page: Any, text: str) -> list[float]:
    await page.evaluate(_WATCH)
    await page.focus("#q")
    for number, letter in enumerate(text, 1):
        await page.keyboard.type(letter)
        while await page.evaluate("window.measured.length") < number:
            await page.wait_for_timeout(_LOOK)
        await page.wait_for_timeout(_PAUSE)
    found: list[float] = await page.evaluate("window.measured")
    return found
