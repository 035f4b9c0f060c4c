"""What a page weighs in all, with all that it is made of: of a company of thousands, whatever is on it."""

from __future__ import annotations

import gzip
import html
import re
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from pingone_mcp.replica.browsing.person import REPORTS
from tests.depth import SOAK, long, soaked
from tests.replica.happenings import Doors
from tests.web.faces import HOST, whole_face
from tests.web.pages.rounds import Rounds, furnished, sync
from tests.web.premises import Marking

MOST = 150_000
_PEOPLE = 3_000 if SOAK else 600
_CHANGED = 400
_ATTRIBUTES = 150
_SAID = "something that is said of <them> "


class Attributed(Marking):
    """What stands before a company and gives somebody a lot of attributes of its own."""

    def __init__(self, app: ASGIApp, user: str) -> None:
        super().__init__(app, "a1")
        self._user = user

    def _value(self, value: Any) -> Any:
        match value:
            case list():
                return [self._value(one) for one in value]
            case {"id": self._user, "username": str()}:
                return {**value, **{f"attribute{number}": _SAID * 40 for number in range(_ATTRIBUTES)}}
            case dict():
                return {name: self._value(one) for name, one in value.items()}
        return value


async def _grow(rounds: Rounds, leader: str) -> None:
    """Let one person lead many, be in all groups and have a lot of attributes; and let a lot happen."""
    acme = rounds.linked["whole"]
    sandbox = rounds.estate.company("acme").sandbox
    names = {user["id"]: user["username"] for user in sandbox.users()}
    users, name, groups = list(names), names[leader], list(sandbox.state().groups)
    async with Doors(sandbox) as admin:
        for number, user in enumerate(users[10 : 10 + _CHANGED]):
            change = {"title": f"Vice President of {number} matters", "manager": name}
            assert await admin.send("PATCH", f"/users/{user}", change) == 200
        for number in range(12):
            body = {"title": f"Head of {number}, of something long, and of all that belongs to it"}
            assert await admin.send("PATCH", f"/users/{leader}", body) == 200
            await sync(rounds.estate, acme, "auto")
        for group in groups:
            await admin.send("POST", f"/users/{leader}/memberOfGroups", {"id": group})
    await sync(rounds.estate, acme, "auto")
    rounds.fills["person"] = (leader, *rounds.fills["person"])
    assert REPORTS < _CHANGED


@soaked
@long
async def test_no_page_weighs_more_than_it_may(tmp_path: Path) -> None:
    async with whole_face(tmp_path, size=_PEOPLE) as face:
        sandbox = face.estate.company("acme").sandbox
        leader = list(sandbox.users())[8]["id"]
        sandbox.app = Attributed(sandbox.app, leader)
        face.estate.size = 40  # of all others
        rounds = await furnished(face.app, face.estate, face.acme, f"http://{HOST}")
        await _grow(rounds, leader)
        pages = await rounds.shown(further=3)
        files: dict[str, bytes] = {}
        weights: dict[str, tuple[int, int]] = {}
        for address, page in pages.items():
            used = set(re.findall(r'<(?:link|script|img)[^>]* (?:href|src)="(/[^"]+)"', page))
            for one in used - set(files):
                files[one] = (await rounds.get(one)).body
            parts = [page.encode(), *(files[one] for one in used)]
            weights[address] = sum(map(len, parts)), sum(len(gzip.compress(one)) for one in parts)
    most = next(page for address, page in pages.items() if address.endswith(leader))
    assert html.escape(_SAID) in most, "who has most of all is walked"
    assert "more are not shown" in most
    heaviest = sorted(weights.items(), key=lambda one: one[1], reverse=True)[:5]
    for address, (plain, small) in heaviest:
        print(f"{plain:,} bytes as served ({small:,} where a proxy compresses): {address}")  # noqa: T201 - quoted with -s
    assert [one for one in heaviest if one[1][0] > MOST] == []
    assert len(files) >= 3
