"""The whole HTTP face on a port of this machine, and a browser that walks through its pages."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import anyio
from playwright.async_api import Browser, BrowserContext, Dialog, Page

from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.pingone.feed.events import is_foreign
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.options import Options
from pingone_mcp.service.callers import Caller, Permission
from pingone_mcp.service.events.hooks.taking import HookTaking
from pingone_mcp.service.fleet.syncs import FleetSyncs
from pingone_mcp.settings.serving import Serving
from pingone_mcp.tasks import background
from pingone_mcp.web.address import PublicAddress
from pingone_mcp.web.process import Listening, open_socket, url_of
from pingone_mcp.wiring.serving import OpenFace, ServedFleet, open_face
from tests.fleets import SIZE, Estate, estate
from tests.web.mcp.serving import listening

VARIABLE = "PINGONE_TEST_CHROMIUM"
"""Names the browser; without it no test of this folder is collected."""
ALL: frozenset[Permission] = frozenset(get_args(Permission))
_AT_A_TIME = 10  # pages
_WATCHES = """document.addEventListener("securitypolicyviolation", (event) =>
  window.violated(`${event.effectiveDirective} ${event.blockedURI}`));"""
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str | None:
    """Return the browser of this machine."""
    named = os.environ.get(VARIABLE)
    return named or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass(kw_only=True)
class Site:
    """The face at `base`, and the company `acme` that is linked to it."""

    base: str
    estate: Estate
    face: OpenFace
    acme: LinkedConnection

    def person(self, *permissions: Permission, connections: frozenset[str] | None = None) -> Caller:
        """Return somebody who may do these things (all of them where none is named)."""
        may = frozenset(permissions) or ALL
        return Caller(
            kind="session", client_id="browser", issuer="local", subject="me", permissions=may, connections=connections
        )

    def path(self, *segments: str) -> str:
        return "/".join(["/c", self.acme.id, *segments])


@dataclass(kw_only=True)
class Walk:
    """A browser window at a site. `complaints` are what its console has said.

    `violations` are what the policy of a page has kept from running or loading, `dialogs` what a script has opened.
    """

    site: Site
    page: Page
    context: BrowserContext
    complaints: list[str] = field(default_factory=list[str])
    violations: list[str] = field(default_factory=list[str])
    dialogs: list[str] = field(default_factory=list[str])
    _opened: int = 0

    async def sign_in(self, caller: Caller | None = None) -> None:
        """Sign in by the one-time link, as the person at this machine unless another one is named."""
        code = self.site.face.sessions.new_code(caller or self.site.person())
        await self.page.goto(f"{self.site.base}/login?code={code}")

    async def come_in(self, cookie: str) -> None:
        """Be signed in by the cookie of a session."""
        name, _, value = cookie.partition("=")
        await self.context.add_cookies([{"name": name, "value": value, "url": self.site.base}])

    async def open(self, path: str) -> None:
        self._opened += 1
        if self._opened % _AT_A_TIME == 0:
            self.site.estate.time.passed += 11  # no limit counts what was before
        await self.page.goto(self.site.base + path)

    async def text(self) -> str:
        """Return what the page says."""
        return await self.page.inner_text("body")


@asynccontextmanager
async def open_site(
    folder: Path,
    before: Callable[[Sandbox], None] = lambda _: None,
    options: Options | None = None,
    *,
    size: int = SIZE,
) -> AsyncIterator[Site]:
    """Serve on a port of this machine; `acme` is linked and synced, after what is done to its sandbox `before`.

    Companies have `size` people.
    """
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(estate(folder, options=options, size=size))
        tasks = await stack.enter_async_context(background())
        clock = dataclasses.replace(opened.time.clock(), sleep=anyio.sleep)
        before(opened.company("acme").sandbox)
        acme = await opened.link("acme", tenant="customer", allow_writes=True)
        served = await opened.fleet.current(acme)
        await (await served.backend()).replica.sync("full", report=lambda *_: None)
        fleet = ServedFleet(
            opened.fleet,
            FleetSyncs(opened.control, opened.fleet, tasks, clock),
            opened.administration.linking,
            opened.rosters,
            taking=HookTaking(opened.control, is_foreign),
        )
        where = Listening(host="127.0.0.1", port=0)
        listener = stack.enter_context(open_socket(where))
        base = url_of(where, listener)
        address = PublicAddress(base, listener.getsockname()[1])
        opening = open_face(opened.control, fleet, Serving(), address, log=lambda _: None, clock=clock)
        face = await stack.enter_async_context(opening)
        await stack.enter_async_context(listening(face.app, where, listener, face.stop))
        yield Site(base=base, estate=opened, face=face, acme=acme)


@asynccontextmanager
async def walking(browser: Browser, site: Site, *, scripts: bool = True, width: int = 1440) -> AsyncIterator[Walk]:
    """Open a window with a jar of cookies of its own; `scripts`: whether the pages' script runs."""
    context = await browser.new_context(java_script_enabled=scripts, viewport={"width": width, "height": 900})
    try:
        page = await context.new_page()
        walk = Walk(site=site, page=page, context=context)
        await context.expose_function("violated", lambda what: walk.violations.append(what))  # noqa: PLW0108 - it sets a mark on it
        await context.add_init_script(_WATCHES)

        async def dismiss(dialog: Dialog) -> None:
            walk.dialogs.append(dialog.message)
            await dialog.dismiss()

        page.on("dialog", dismiss)
        page.on("console", lambda said: walk.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: walk.complaints.append(str(error)))
        yield walk
    finally:
        await context.close()
