"""Somebody with a link token links a tenant, in a real browser."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator

import anyio
import pytest
from playwright.async_api import Browser, Page
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.browser.looking import look_at
from tests.browser.walking import Site, Walk, walking


async def invited(site: Site, tenant: str = "customer", **more: str) -> str:
    made = await site.estate.control.tokens.create_link(tenant=tenant, **more)
    return f"/connect-account?link_token={made.get_secret_value()}"


async def enter(page: Page, site: Site, company: str, **changes: str) -> None:
    values = {**site.estate.values(company), **changes}
    await page.get_by_label("Environment ID").fill(values["environment_id"])
    await page.get_by_label("Client ID").fill(values["client_id"])
    await page.get_by_label("Client secret").fill(values["client_secret"])
    await page.get_by_role("button", name="Check what works").click()


async def names(site: Site) -> list[str]:
    return [one.name for one in await site.estate.control.connections.listed()]


@dataclasses.dataclass
class Holding:
    """What stands before a company and lets its answers about users go when it is told to."""

    app: ASGIApp
    let_go: anyio.Event = dataclasses.field(default_factory=anyio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith("/users"):
            await self.let_go.wait()
        await self.app(scope, receive, send)


@dataclasses.dataclass
class Renaming:
    """What stands before a company and calls something else in all that it answers."""

    app: ASGIApp
    old: str
    new: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message = {}
        parts: list[bytes] = []

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            parts.append(message.get("body", b""))
            if message.get("more_body"):
                return
            body = b"".join(parts).replace(json.dumps(self.old).encode(), json.dumps(self.new).encode())
            headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
            await send({**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
            await send({"type": "http.response.body", "body": body})

        await self.app(scope, receive, sending)


@pytest.fixture
async def plain(browser: Browser, site: Site) -> AsyncIterator[Walk]:
    """Walk without scripts."""
    async with walking(browser, site, scripts=False) as opened:
        yield opened
        assert opened.complaints == []


async def test_from_a_link_to_a_connection_by_way_of_a_wrong_secret(walk: Walk) -> None:
    await walk.open(await invited(walk.site))
    await enter(walk.page, walk.site, "beta", client_secret="wrong")
    await walk.page.get_by_role("heading", name="It does not work yet").wait_for()
    assert "does not accept the client id or the client secret" in await walk.text()
    await walk.page.get_by_role("link", name="Enter something else").click()
    assert await walk.page.get_by_label("Client secret").input_value() == ""
    assert await walk.page.get_by_label("Client ID").input_value() != ""
    await enter(walk.page, walk.site, "beta")
    await walk.page.get_by_role("heading", name="It works").wait_for()
    await walk.page.get_by_label("What to call this connection").fill("Beta")
    await walk.page.get_by_role("button", name="Connect").click()
    await walk.page.get_by_role("heading", name="Connected").wait_for()
    assert await names(walk.site) == ["acme", "Beta"]


async def test_rights_that_are_missing_are_named_with_their_place(walk: Walk) -> None:
    walk.site.estate.company("beta").sandbox.withdraw("Identity Data Admin", "Identity Data Read Only")
    await walk.open(await invited(walk.site))
    await enter(walk.page, walk.site, "beta")
    await walk.page.get_by_role("heading", name="It does not work yet").wait_for()
    said = await walk.text()
    assert "users of Workforce does not work" in said
    assert "Roles \u203a Grant roles" in said
    assert "Identity Data Read Only" in said


async def test_steps_are_seen_while_others_are_still_tried(walk: Walk) -> None:
    sandbox = walk.site.estate.company("beta").sandbox
    sandbox.app = holding = Holding(sandbox.app)
    await walk.open(await invited(walk.site))
    values = walk.site.estate.values("beta")
    for label, name in (
        ("Environment ID", "environment_id"),
        ("Client ID", "client_id"),
        ("Client secret", "client_secret"),
    ):
        await walk.page.get_by_label(label).fill(values[name])
    await walk.page.get_by_role("button", name="Check what works").click(no_wait_after=True)
    await walk.page.get_by_text("received for the worker application").wait_for()
    assert not await walk.page.get_by_role("button", name="Connect").is_visible()
    holding.let_go.set()
    await walk.page.get_by_role("heading", name="It works").wait_for()


async def test_all_of_it_by_keyboard(walk: Walk) -> None:
    await walk.open(await invited(walk.site))
    values, page = walk.site.estate.values("beta"), walk.page
    await page.get_by_label("Environment ID").focus()
    for text, tabs in ((values["environment_id"], 3), (values["client_id"], 1), (values["client_secret"], 0)):
        await page.keyboard.type(text)
        for _ in range(tabs):
            await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="It works").wait_for()
    await page.get_by_label("What to call this connection").focus()
    for _ in range(2):  # the first of the environments, which stands for all
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.value") == "all":
            break
    await page.keyboard.press("Space")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Connected").wait_for()
    [_, beta] = await walk.site.estate.control.connections.listed()
    assert beta.settings["environments"] == ["all"]


async def test_all_of_it_without_scripts(plain: Walk) -> None:
    await plain.open(await invited(plain.site, redirect_uri="https://app.example.com/back"))
    await enter(plain.page, plain.site, "beta")
    await plain.page.get_by_role("heading", name="It works").wait_for()
    assert "audit events of Workforce works" in await plain.text()
    await plain.page.get_by_role("button", name="Connect").click()
    there = await plain.page.get_by_role("link", name="Go back to https://app.example.com").get_attribute("href")
    assert there is not None
    assert there.startswith("https://app.example.com/back?result=success")


async def test_back_and_reload_do_no_harm(walk: Walk) -> None:
    await walk.open(await invited(walk.site))
    await enter(walk.page, walk.site, "beta")
    await walk.page.get_by_role("heading", name="It works").wait_for()
    await walk.page.reload()
    await walk.page.get_by_role("button", name="Connect").click()
    await walk.page.get_by_role("heading", name="Connected").wait_for()
    await walk.page.reload()
    await walk.page.get_by_role("heading", name="Connected").wait_for()
    for _ in range(2):
        await walk.page.go_back()
    assert len(await names(walk.site)) == 2
    walk.complaints.clear()  # a link that was used is a 410


async def test_of_two_tabs_one_wins_and_the_other_hears_it(walk: Walk) -> None:
    link = await invited(walk.site)
    await walk.open(link)
    await enter(walk.page, walk.site, "beta")
    other = await walk.context.new_page()
    await other.goto(walk.site.base + link)
    await enter(other, walk.site, "gamma")
    for page in (walk.page, other):
        await page.get_by_role("button", name="Connect").click()
    await walk.page.get_by_role("heading", name="Connected").wait_for()
    await other.get_by_role("heading", name="This link is not good").wait_for()
    assert len(await names(walk.site)) == 2


async def test_hostile_names_of_tenants_and_of_the_directory_are_text(walk: Walk) -> None:
    hostile = "\"'><img src=x onerror=alert(1)><script>alert(1)</script>"
    sandbox = walk.site.estate.company("beta").sandbox
    sandbox.app = Renaming(sandbox.app, "Workforce", hostile)
    await walk.open(await invited(walk.site, tenant=hostile))
    assert hostile in await walk.text()
    await enter(walk.page, walk.site, "beta")
    await walk.page.get_by_role("heading", name="It works").wait_for()
    assert hostile in await walk.text()
    await walk.page.get_by_role("button", name="Connect").click()
    await walk.page.get_by_role("heading", name="Connected").wait_for()
    assert hostile in await walk.text()
    assert await walk.page.locator("img[src=x]").count() == 0


async def test_every_state_is_free_of_barriers(walk: Walk) -> None:
    page, site = walk.page, walk.site
    wrong: list[str] = []
    await walk.open("/connect-account?link_token=plt_0")
    wrong += await look_at(walk, "a link that is not good")
    walk.complaints.clear()  # the browser notes its status
    await walk.open(await invited(site))
    wrong += await look_at(walk, "the form")
    await enter(page, site, "beta", environment_id="wrong")
    wrong += await look_at(walk, "the form with what is wrong")
    walk.complaints.clear()
    await enter(page, site, "beta", client_secret="wrong")
    await page.get_by_role("heading", name="It does not work yet").wait_for()
    wrong += await look_at(walk, "what does not work")
    await page.get_by_role("link", name="Enter something else").click()
    await enter(page, site, "beta")
    await page.get_by_role("heading", name="It works").wait_for()
    await page.get_by_text("Serve some populations only").click()
    wrong += await look_at(walk, "what works")
    await page.get_by_role("button", name="Connect").click()
    await page.get_by_role("heading", name="Connected").wait_for()
    wrong += await look_at(walk, "the end")
    await walk.sign_in()
    wrong += await look_at(walk, "all connections")
    for act in ("rename", "remove", "reconnect"):
        await walk.open(site.path("link", act))
        wrong += await look_at(walk, act)
    assert wrong == []


async def test_a_person_who_has_signed_in_adds_and_removes_one(walk: Walk) -> None:
    await walk.sign_in()
    await walk.open("/")
    await walk.page.get_by_role("link", name="Add a connection").click()
    await enter(walk.page, walk.site, "beta")
    await walk.page.get_by_label("What to call this connection").fill("beta")
    await walk.page.get_by_role("button", name="Connect").click()
    await walk.page.get_by_text("beta is connected.").wait_for()
    await walk.page.get_by_role("button", name="Pause beta").click()
    await walk.page.get_by_role("button", name="Resume beta").wait_for()
    await walk.page.get_by_role("link", name="Remove beta").click()
    await walk.page.get_by_role("button", name="Remove beta").click()
    await walk.page.get_by_text("beta is removed").wait_for()
    assert await names(walk.site) == ["acme"]
