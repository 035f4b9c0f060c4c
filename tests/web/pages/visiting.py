"""Somebody who has signed in to the pages of a whole face, without a browser: requests, and what they answer."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import anyio
from starlette.types import ASGIApp

from pingone_mcp.service.backend import Backend
from pingone_mcp.service.callers import Permission
from pingone_mcp.service.syncing import Mode
from tests.hostile import poisoned
from tests.replica.happenings import Doors
from tests.web.faces import HOST, WholeFace, whole_face
from tests.web.premises import Heard, Marking

_FORM = ("Content-Type", "application/x-www-form-urlencoded")


MARKUP = """<script>alert(1)</script>"'><img src=x onerror=alert(1)><b style=color:red>{{7*7}}"""


class Hostile(Marking):
    """What stands before a company: every string that leaves it holds markup, and all that can be hidden in a text."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app, "a1")

    def _value(self, value: Any) -> Any:
        marked = super()._value(value)
        return poisoned(f"{value} {MARKUP}") if isinstance(value, str) and marked != value else marked


@dataclass(kw_only=True)
class Visitor:
    """A person by a cookie."""

    face: WholeFace
    cookie: str = field(repr=False)

    async def open(self, target: str) -> Heard:
        return await self.face.ask("GET", target, ("Cookie", self.cookie), key="")

    async def people(self, query: str = "", connection: str | None = None) -> Heard:
        return await self.open(f"/c/{connection or self.face.acme.id}/people{query}")


def texts(heard: Heard) -> str:
    """Return what a page says, without its elements."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", heard.body.decode())).split())


def names(heard: Heard) -> list[str]:
    """Return the names of the rows of a list."""
    return [
        html.unescape(one) for one in re.findall(r'<span class="who"><a href="[^"]*">([^<]*)</a>', heard.body.decode())
    ]


def links(heard: Heard, pattern: str) -> list[str]:
    """Return the addresses that links lead to, of which a pattern is a part."""
    found = [html.unescape(one) for one in re.findall(r'href="([^"]*)"', heard.body.decode())]
    return [one for one in found if re.search(pattern, one)]


async def sign_in(face: WholeFace, key: str) -> Visitor:
    """Sign in with a key."""
    body = urlencode({"key": key}).encode()
    origin = ("Origin", f"http://{HOST}")
    answered = await face.ask("POST", "/sign-in", _FORM, origin, body=body, key="")
    assert answered.status == 303, answered.text
    return Visitor(face=face, cookie=answered.header("set-cookie").partition(";")[0])


@asynccontextmanager
async def visiting(
    folder: Path,
    *permissions: Permission,
    synced: bool = True,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
) -> AsyncIterator[Visitor]:
    """Open a face for somebody with some permissions; its company is synced, unless it should not be yet."""
    async with whole_face(folder, sleep=sleep) as face:
        if synced:
            await sync(face)
        yield await sign_in(face, await face.new_key(*(permissions or ("directory.read",))))


async def backend_of(face: WholeFace) -> Backend:
    return await (await face.estate.fleet.current(face.acme)).backend()


async def sync(face: WholeFace, mode: Mode = "auto") -> None:
    """Sync the company as the server does: who listens hears of changes."""
    served = await face.estate.fleet.current(face.acme)
    backend = await served.backend()

    async def silent(_: object) -> None:
        """Take no note of progress."""

    await served.syncing(backend).wait(mode, 60.0, silent)


def doors(face: WholeFace) -> Doors:
    return Doors(face.estate.company("acme").sandbox)
