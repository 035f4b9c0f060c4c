"""The view of the MCP App in a page that hosts it by the bridge of `@modelcontextprotocol/ext-apps`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from mcp import Client
from mcp.types import TextResourceContents
from playwright.async_api import Browser, ConsoleMessage, Frame, Page, Route, expect

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.roles import Narrowing
from tests.browser.looking import barriers, overflow
from tests.browser.packages import npm_bundle
from tests.hostile import MARKER, SENDABLE
from tests.world import HOST, NOW, World, facts

_PACKAGES = (
    "@modelcontextprotocol/ext-apps@2.0.4",
    "@modelcontextprotocol/client@2.4.0",
    "@modelcontextprotocol/core@2.4.0",
    "@modelcontextprotocol/server@2.4.0",
    "zod@4.6.7",
)
_HOST = """
import { AppBridge, PostMessageTransport } from "@modelcontextprotocol/ext-apps/app-bridge";
const frame = document.querySelector("iframe");
window.sizes = [];
window.modes = [];
window.show = async ({ input, result, context, capabilities }) => {
  const bridge = new AppBridge(null, { name: "host", version: "1" }, capabilities, { hostContext: context });
  window.bridge = bridge;
  bridge.oncalltool = async (params) => {
    const answer = JSON.parse(await window.callTool(JSON.stringify(params)));
    setTimeout(() => setTimeout(() => console.log(`answered ${params.arguments.query}`)));  // and has it
    return answer;
  };
  bridge.onsizechange = (size) => {
    window.sizes.push(size);
    frame.style.height = `${size.height}px`;
  };
  bridge.onrequestdisplaymode = async ({ mode }) => {
    window.modes.push(mode);
    return { mode };
  };
  const initialized = new Promise((done) => { bridge.oninitialized = done; });
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  frame.src = "http://view.test/";
  await initialized;
  await bridge.sendToolInput({ arguments: input });
  await bridge.sendToolResult(result);
};
"""
_PAGE = """<!doctype html><title>Host</title>
<style>body { margin: 0; background: Canvas; color-scheme: light dark } iframe { width: 100%; height: 300px; border: 0 }</style>
<iframe title="view" sandbox="allow-scripts"></iframe><script src="/host.js"></script>"""
# What hosts send with a view that names no origin (MCP Apps 2026-01-26, content security policy).
_CSP = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "media-src 'self' data:; connect-src 'none'; frame-src 'none'; object-src 'none'; base-uri 'self'"
)
_WATCH = """window.violations = [];
addEventListener("securitypolicyviolation", (event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`));"""


@dataclass(kw_only=True)
class Hosted:
    """A view in its host, and what was asked of the server through it."""

    page: Page
    client: Client
    world: World
    calls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    complaints: list[str] = field(default_factory=list[str])
    held: dict[str, anyio.Event] = field(default_factory=dict[str, anyio.Event])
    """What a search waits for before it is answered, by its words."""

    async def show(self, arguments: dict[str, Any] | None = None, *, serves: bool = True, **context: Any) -> Frame:
        """Open the view as a host does after a call of the model."""
        given = arguments or {}
        result = await self.client.call_tool("browse_directory", given)
        capabilities: dict[str, Any] = {"serverTools": {}} if serves else {}
        shown = {
            "input": given,
            "result": result.model_dump(by_alias=True, exclude_none=True, mode="json"),
            "context": {"theme": "light", "locale": "en-GB", "timeZone": "UTC", **context},
            "capabilities": capabilities,
        }
        await self.page.evaluate("(shown) => window.show(shown)", shown)
        return self.view

    @property
    def view(self) -> Frame:
        [frame] = [one for one in self.page.frames if one.url.startswith("http://view.test")]
        return frame

    async def call(self, text: str) -> str:
        """Call a tool, as the host does for the view."""
        asked = json.loads(text)
        self.calls.append(asked)
        if (until := self.held.get(asked.get("arguments", {}).get("query", ""))) is not None:
            await until.wait()
        result = await self.client.call_tool(asked["name"], asked.get("arguments") or {})
        return result.model_dump_json(by_alias=True, exclude_none=True)

    async def settled(self, said: str) -> None:
        await expect(self.view.locator("#said")).to_have_text(said)

    async def barriers(self) -> list[str]:
        return await barriers(cast(Page, self.view))


@asynccontextmanager
async def hosted(
    browser: Browser,
    folder: Path,
    *,
    before: Callable[[Sandbox], None] = lambda _: None,
    synced: bool = True,
    width: int = 760,
    height: int = 900,
    **changes: Any,
) -> AsyncIterator[Hosted]:
    """Serve a world of sixty people, and open a page that can show its view."""
    script = npm_bundle("host", _PACKAGES, _HOST)
    world = World(sandbox=Sandbox(size=60, now=NOW), cache=folder)
    before(world.sandbox)
    async with world.client(extensions=HOST, **changes) as client:
        if synced:
            assert facts(await client.call_tool("sync_directory", {}))["state"] == "done"
        [content] = (await client.read_resource("ui://pingone/directory")).contents
        assert isinstance(content, TextResourceContents)
        document = content.text
        context = await browser.new_context(viewport={"width": width, "height": height})
        try:
            page = await context.new_page()
            opened = Hosted(page=page, client=client, world=world)

            async def answer(route: Route) -> None:
                if "view.test" in route.request.url:
                    headers = {"Content-Security-Policy": _CSP, "Content-Type": "text/html; charset=utf-8"}
                    await route.fulfill(body=document, headers=headers)
                else:
                    is_script = route.request.url.endswith(".js")
                    kind = "text/javascript" if is_script else "text/html"
                    await route.fulfill(body=script if is_script else _PAGE, content_type=f"{kind}; charset=utf-8")

            def hear(said: ConsoleMessage) -> None:
                if said.type == "error":
                    opened.complaints.append(said.text)

            await context.add_init_script(_WATCH)
            await context.route("**/*", answer)
            await page.expose_function("callTool", opened.call)
            page.on("console", hear)
            page.on("pageerror", lambda error: opened.complaints.append(str(error)))
            await page.goto("http://host.test/")
            yield opened
            assert opened.complaints == []
            assert await opened.view.evaluate("window.violations") == []
        finally:
            await context.close()


@pytest.fixture
async def host(browser: Browser, tmp_path: Path) -> AsyncIterator[Hosted]:
    async with hosted(browser, tmp_path) as opened:
        yield opened


async def names(view: Frame) -> list[str]:
    return await view.locator("#list .name").all_inner_texts()


async def test_it_opens_with_the_first_people_and_how_many_there_are(host: Hosted) -> None:
    everybody = len(list(host.world.sandbox.users()))
    view = await host.show()
    await host.settled(f"{everybody} people")
    assert len(await names(view)) == 15
    assert "From the local copy: as the directory was 15 Jun 2026, 11:59" in await view.inner_text("#copy")
    assert await host.barriers() == []
    assert [call["name"] for call in host.calls] == ["directory_view"]


async def test_what_the_model_asked_for_is_searched(host: Hosted) -> None:
    who = next(iter(host.world.sandbox.users()))["name"]["family"]
    view = await host.show({"query": who})
    await expect(view.locator("#query")).to_have_value(who)
    await expect(view.locator("#said")).to_contain_text("found")
    assert all(who in name for name in await names(view))


async def test_somebody_types_and_only_the_last_search_is_shown(host: Hosted) -> None:
    view = await host.show()
    await expect(view.locator("#said")).to_contain_text("people")
    who = next(iter(host.world.sandbox.users()))["name"]["family"]
    await view.locator("#query").press_sequentially(who, delay=5)
    await expect(view.locator("#said")).to_contain_text("found")
    assert await names(view)
    assert all(who in name for name in await names(view))
    searches = [call["arguments"]["query"] for call in host.calls]
    assert len(searches) <= 4, "not one for each letter"
    assert searches[-1] == who


async def test_an_answer_that_comes_late_replaces_none_that_was_asked_for_later(host: Hosted) -> None:
    view = await host.show()
    await expect(view.locator("#list .name")).to_have_count(15)
    who = next(iter(host.world.sandbox.users()))["name"]["family"]
    host.held["a"] = anyio.Event()
    async with host.page.expect_event("console", lambda said: said.text == "answered a"):
        await view.locator("#query").fill("a")
        await view.locator("#query").press("Enter")
        await view.locator("#query").fill(who)
        await view.locator("#query").press("Enter")
        await expect(view.locator("#said")).to_contain_text("found")
        shown = await names(view)
        host.held["a"].set()
    assert await names(view) == shown
    assert all(who in name for name in shown)


async def test_filters_narrow_and_say_so(host: Hosted) -> None:
    view = await host.show()
    await expect(view.locator("#status option")).to_have_count(5)
    label = await view.locator("#status option[value=inactive]").inner_text()
    await view.locator("#status").select_option("inactive")
    count = label.removeprefix("Inactive (").removesuffix(")")
    await host.settled(f"{count} people found" if count != "1" else "1 person found")
    assert all(text.startswith("Inactive") for text in await view.locator("#list .state").all_inner_texts())
    group = await view.locator("#group option").nth(1).get_attribute("value")
    await view.locator("#status").select_option("")
    await view.locator("#group").select_option(group)
    await expect(view.locator("#said")).to_contain_text("found")


async def test_pages_go_on_and_back(host: Hosted) -> None:
    view = await host.show()
    await expect(view.locator("#list .name")).to_have_count(15)
    first = await names(view)
    await view.get_by_role("button", name="Next").click()
    await expect(view.locator("#back")).to_be_enabled()
    second = await names(view)
    assert set(first).isdisjoint(second) or first != second
    await view.get_by_role("button", name="Previous").click()
    await expect(view.locator("#back")).to_be_disabled()
    assert await names(view) == first


async def test_a_person_opens_by_keys_and_the_list_comes_back(host: Hosted) -> None:
    view = await host.show({"query": ""})
    await view.locator("#status").select_option("inactive")
    await expect(view.locator("#said")).to_contain_text("found")
    await view.locator("#query").focus()
    await host.page.keyboard.press("ArrowDown")
    row = view.locator("#list button.row").first
    await expect(row).to_be_focused()
    name = await row.locator(".name").inner_text()
    await host.page.keyboard.press("Enter")
    await expect(view.locator("#who")).to_be_focused()
    assert await view.inner_text("#who") == name
    said = await view.inner_text("#person")
    assert "Inactive" in said
    assert "Why this status" in said
    assert "enabled" in said
    assert await host.barriers() == []
    await host.page.keyboard.press("Escape")
    await expect(row).to_be_focused()
    await expect(view.locator("#person")).to_be_hidden()


async def test_the_theme_and_the_styles_of_the_host_are_taken_over(host: Hosted) -> None:
    view = await host.show(theme="dark")
    await expect(view.locator("#said")).to_contain_text("people")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = await view.evaluate(ground)
    assert await host.barriers() == []
    await host.page.evaluate("window.bridge.setHostContext({ theme: 'light', locale: 'en-GB', timeZone: 'UTC' })")
    await expect(view.locator("html")).to_have_css("color-scheme", "light")
    assert await view.evaluate(ground) != dark
    own = {"--color-background-primary": "rgb(1, 2, 3)", "--color-text-primary": "rgb(250, 250, 250)", "color": "red"}
    change = "(own) => window.bridge.sendHostContextChange({ styles: { variables: own } })"
    await host.page.evaluate(change, {"--color-background-primary": "rgb(9, 9, 9)"})
    await host.page.evaluate(change, {"--border-radius-md": "3px"})
    await expect(view.locator("#query")).to_have_css("border-radius", "3px")
    assert await view.evaluate(ground) != "rgb(9, 9, 9)", "half of two colours cannot be read"
    await host.page.evaluate(change, own)
    await expect(view.locator("body")).to_have_css("background-color", "rgb(1, 2, 3)")
    assert await view.evaluate("document.documentElement.style.color") == ""


async def test_the_host_hears_how_large_the_view_is(host: Hosted) -> None:
    view = await host.show()
    await expect(view.locator("#list .name")).to_have_count(15)
    await host.page.wait_for_function("window.sizes.length > 0 && window.sizes.at(-1).height > 800")
    await view.wait_for_function("document.documentElement.scrollHeight <= window.innerHeight + 1")
    tall = await host.page.evaluate("window.sizes.at(-1).height")
    await view.locator("#query").fill("nobody at all")
    await expect(view.locator("#said")).to_have_text("0 people found")
    await host.page.wait_for_function("(tall) => window.sizes.at(-1).height < tall", arg=tall)
    assert "Nobody in the copy is like that." in await view.inner_text("#list")


async def test_it_can_fill_the_window_where_the_host_lets_it(host: Hosted) -> None:
    view = await host.show(availableDisplayModes=["inline", "fullscreen"], displayMode="inline")
    await view.get_by_role("button", name="Full screen").click()
    await expect(view.get_by_role("button", name="Smaller")).to_be_visible()
    assert await host.page.evaluate("window.modes") == ["fullscreen"]


async def test_the_view_answers_before_it_is_taken_away_and_asks_no_more(host: Hosted) -> None:
    view = await host.show()
    await expect(view.locator("#list .name")).to_have_count(15)
    assert await host.page.evaluate("window.bridge.teardownResource({})") == {}
    asked = len(host.calls)
    await view.locator("#query").fill("ann")
    await view.locator("#query").press("Enter")
    # What it asks, it asks before it answers again.
    assert await host.page.evaluate("window.bridge.teardownResource({})") == {}
    assert len(host.calls) == asked


async def test_only_its_host_is_listened_to(host: Hosted) -> None:
    view = await host.show(theme="dark")
    await expect(view.locator("#list .name")).to_have_count(15)
    await host.page.evaluate("""async () => {
        const other = document.createElement("iframe");
        other.title = "other";
        other.srcdoc = `<script>
            for (const one of [
              { method: "ui/notifications/host-context-changed", params: { theme: "light" } },
              { method: "ui/notifications/tool-cancelled", params: {} },
              { id: 1, method: "ui/resource-teardown", params: {} },
            ]) parent.frames[0].postMessage({ jsonrpc: "2.0", ...one }, "*");
        <${"/script"}>`;
        const loaded = new Promise((done) => { other.onload = done; });
        document.body.append(other);
        await loaded;
    }""")
    await view.locator("#status").select_option("inactive")
    await expect(view.locator("#said")).to_contain_text("found")
    assert await view.evaluate("document.documentElement.style.colorScheme") == "dark"


async def test_a_host_that_calls_no_tools_still_shows_the_first_matches(host: Hosted) -> None:
    view = await host.show(serves=False)
    await host.settled(f"{len(list(host.world.sandbox.users()))} people")
    assert len(await names(view)) == 10
    assert await view.locator("#query").is_disabled()
    assert host.calls == []
    assert await host.barriers() == []


async def test_without_a_copy_a_button_makes_one(browser: Browser, tmp_path: Path) -> None:
    async with hosted(browser, tmp_path, synced=False) as host:
        view = await host.show()
        await expect(view.get_by_role("alert")).to_contain_text("There is no local copy")
        assert await host.barriers() == []
        await view.get_by_role("button", name="Read the directory now").click()
        await expect(view.locator("#list .name")).to_have_count(15)


async def test_filters_that_have_no_room_are_said_not_to_be_all(browser: Browser, tmp_path: Path) -> None:
    async with hosted(browser, tmp_path, characters=1_200) as host:
        view = await host.show()
        await expect(view.locator("#few")).to_contain_text("Not all")
        assert await host.barriers() == []


async def test_a_sync_that_waits_for_a_person_is_said_below_and_in_what_is_not_found(host: Hosted) -> None:
    sandbox = host.world.sandbox
    hidden = frozenset(user["id"] for user in list(sandbox.users())[:30])
    sandbox.narrow(sandbox.environment_id, Narrowing(hidden=hidden))
    await host.client.call_tool("sync_directory", {"mode": "full"})
    view = await host.show({"query": "nobody at all"})
    await host.settled("0 people found")
    assert "they may be there all the same" in await view.inner_text("#list")
    assert "A sync waits for a person" in await view.inner_text("#copy")
    assert await host.barriers() == []


MARKUP = "<img src=x onerror=window.hit=1><script>window.hit=1</script>\"'><b>bold</b>{{7*7}}"


def hostile(sandbox: Sandbox) -> None:
    state = sandbox.state()
    for position, user in enumerate(list(sandbox.users())):
        name = {"given": MARKUP, "family": f"{position} {MARKUP}", "formatted": f"{MARKUP} {position}"}
        own = {"title": f"{MARKUP} {SENDABLE}", MARKUP: [MARKUP, {MARKUP: MARKUP}]}
        state.put_user(position, user | own | {"name": name, "nickname": SENDABLE})
    for group in list(state.groups.values()):
        group.record["name"] = f"{MARKUP} {group.record['name']}"
        state.put_group(group)
    for population in state.populations.values():
        population["name"] = f"{MARKUP} {population['name']}"


async def test_a_hostile_company_is_shown_as_text_and_runs_nothing(browser: Browser, tmp_path: Path) -> None:
    async with hosted(browser, tmp_path, before=hostile, characters=60_000) as host:
        view = await host.show({"query": ""})
        await expect(view.locator("#list .name")).to_have_count(15)
        assert "<img src=x onerror=" in (await names(view))[0]
        ours = (
            "[...document.querySelectorAll('img, script, iframe, a, b, object, link, style')].map((one) => one.tagName)"
        )
        for at in (0, 7):
            await view.locator("#list button.row").nth(at).click()
            await expect(view.locator("#who")).to_be_visible()
            said = await view.inner_text("#person")
            assert MARKER in said, "data is shown, not hidden"
            assert await view.evaluate(ours) == ["STYLE", "SCRIPT"]
            assert await overflow(cast(Page, view)) == 0
            await host.page.keyboard.press("Escape")
        assert await view.evaluate("window.hit") is None
        assert await view.evaluate(ours) == ["STYLE", "SCRIPT"]
        assert await host.barriers() == []


@pytest.mark.parametrize("width", [320, 1200])
async def test_it_fits_and_has_no_barrier(browser: Browser, tmp_path: Path, width: int) -> None:
    async with hosted(browser, tmp_path, width=width) as host:
        view = await host.show(theme="dark")
        await expect(view.locator("#list .name")).to_have_count(15)
        assert await overflow(cast(Page, view)) == 0
        await view.locator("#list button.row").first.click()
        await expect(view.locator("#who")).to_be_visible()
        assert await overflow(cast(Page, view)) == 0
        assert await host.barriers() == []
