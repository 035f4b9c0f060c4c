"""The page of changes: day by day, with a chart whose numbers are in a table, and filters."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET

import pytest

from tests.web.pages.visiting import Visitor, doors, links, sync, texts


@pytest.fixture
async def users(visitor: Visitor) -> list[str]:
    """Somebody is disabled, locked, removed; somebody is created."""
    sandbox = visitor.face.estate.company("acme").sandbox
    found = [user["id"] for user in sandbox.users()]
    place = sandbox.company.main.populations[0].id
    async with doors(visitor.face) as admin:
        assert await admin.send("PUT", f"/users/{found[3]}/enabled", {"enabled": False}) == 200
        assert await admin.send("DELETE", f"/users/{found[4]}") == 204
        assert await admin.send("PATCH", f"/users/{found[5]}", {"title": "<b>Chief</b>"}) == 200
        new = {"username": "new", "email": "new@example.net", "population": {"id": place}}
        assert await admin.send("POST", "/users", new) == 201
    await sync(visitor.face)
    return found


async def test_changes_stand_under_their_days_with_their_evidence(visitor: Visitor, users: list[str]) -> None:
    heard = await visitor.open(f"/c/{visitor.face.acme.id}/changes")
    said = texts(heard)
    for word in ("Disabled", "Removed", "Created", "title:", "<b>Chief</b>", "Every change is written down since"):
        assert word in said
    assert re.search(r"\w+day, \d+ \w+ 20\d\d", said)
    assert links(heard, rf"/people/{users[3]}$")


async def test_filters_by_kind_and_person_leave_the_others_out(visitor: Visitor, users: list[str]) -> None:
    path = f"/c/{visitor.face.acme.id}/changes"
    removed = await visitor.open(f"{path}?kind=user.removed&part=rows")
    assert links(removed, rf"/people/{users[4]}$")
    assert not links(removed, rf"/people/{users[3]}$")
    one = await visitor.open(f"{path}?person={users[5]}&part=rows")
    assert {link.rpartition("/")[2] for link in links(one, "/people/")} == {users[5]}
    assert "No change like that is known" in texts(await visitor.open(f"{path}?person=nobody"))
    for query in ("?kind=user.invented", "?days=31", "?days=x"):
        assert (await visitor.open(path + query)).status == 400


async def test_who_left_is_one_link_away_with_how_many_they_are(visitor: Visitor, users: list[str]) -> None:
    heard = await visitor.open(f"/c/{visitor.face.acme.id}/changes?days=7")
    count, left = re.findall(r'<a href="([^"]*kind=left[^"]*)">(\d+) left</a>', heard.body.decode())[0][::-1]
    listed = await visitor.open(html.unescape(left))
    assert f"{count} changes like that in 7 days" in texts(listed)
    assert links(listed, rf"/people/{users[3]}$")
    assert links(listed, rf"/people/{users[4]}$")
    assert not links(listed, rf"/people/{users[5]}$")
    assert '<option value="left" selected>' in listed.body.decode()


async def test_the_chart_is_an_image_with_a_name_and_its_numbers_stand_in_a_table(
    visitor: Visitor, users: list[str]
) -> None:
    page = (await visitor.open(f"/c/{visitor.face.acme.id}/changes?days=7")).body.decode()
    drawn = re.search(r'<svg [^>]*class="chart".*?</svg>', page, re.DOTALL)
    assert drawn is not None
    svg = ET.fromstring(drawn[0])  # noqa: S314 - our own answer
    assert svg.get("role") == "img"
    named = {one.get("id") for one in svg if one.tag.endswith(("title", "desc"))}
    assert set((svg.get("aria-labelledby") or "").split()) == named
    assert not [one for one in svg.iter() if "style" in one.attrib or one.tag.endswith(("script", "style"))]
    rows = re.findall(r'<tr><th scope="row">([\d-]+)</th>(.*?)</tr>', page)
    assert len(rows) == 7
    numbers = [[int(one) for one in re.findall(r">(\d+)</td>", cells)] for _, cells in rows]
    joined, left, _ = (sum(column) for column in zip(*numbers, strict=True))
    assert joined >= 1
    assert left >= 2
