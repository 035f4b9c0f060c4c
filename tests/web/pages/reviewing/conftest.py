"""Somebody who looks at the reviews of a directory that was synced, its rosters and its role rules."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.pages.visiting import Visitor, visiting
from tests.web.premises import Heard

RULES = b"""
[[rule]]
role = "reader"
group = "*"

[[rule]]
role = "approver"
group = "All Staff"

[[rule]]
role = "ghost"
group = "<b>No such group</b>"

[[exclusive]]
roles = ["reader", "approver"]
note = "four eyes"
"""


@pytest.fixture
async def visitor(tmp_path: Path) -> AsyncIterator[Visitor]:
    async with visiting(tmp_path) as opened:
        yield opened


def reviews(visitor: Visitor, *segments: str) -> str:
    return "/".join(["/c", visitor.face.acme.id, "reviews", *segments])


async def push(visitor: Visitor, name: str, *lines: str) -> None:
    """Push a roster of email, username and status."""
    content = "\n".join(("email,username,status", *lines)).encode()
    await visitor.face.estate.rosters.keeping.push(visitor.face.acme.id, name, "csv", content)


async def save(visitor: Visitor, target: str) -> tuple[str, Heard]:
    """Follow a link to a file as a browser does; return where it led, and the file."""
    led = await visitor.open(target)
    assert led.status == 303, led.text
    there = led.header("location")
    return there, await visitor.open(there)


def tickets(heard: Heard) -> list[str]:
    """Return the texts for tickets of a page, as they stand in its source."""
    return re.findall(r'<pre id="[\w-]+" tabindex="0">(.*?)</pre>', heard.body.decode(), re.DOTALL)
