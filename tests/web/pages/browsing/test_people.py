"""The pages of people: what is found, what is said of the copy, and of whom it is said."""

from __future__ import annotations

import html
import re
from pathlib import Path
from urllib.parse import quote

import pytest

from pingone_mcp.directory.text.harmless import hides_nothing
from pingone_mcp.sandbox.company.roles import Narrowing
from tests.hostile import JOINED
from tests.web.pages.visiting import Hostile, Visitor, backend_of, doors, links, names, sign_in, sync, texts, visiting

_NOBODY = "00000000-0000-4000-8000-000000000000"


async def test_everybody_comes_page_after_page_by_links_alone(visitor: Visitor) -> None:
    heard = await visitor.people()
    assert "40 people" in texts(heard)
    place = visitor.face.estate.company("acme").sandbox.company.main.populations[0].id
    async with doors(visitor.face) as admin:
        for number in range(30):
            body = {"username": f"more{number:02}", "email": f"m{number}@example.net", "population": {"id": place}}
            assert await admin.send("POST", "/users", {**body, "name": {"family": f"More{number:02}"}}) == 201
    await sync(visitor.face)
    heard, found = await visitor.people(), list[str]()
    while True:
        found += links(heard, r"/people/[0-9a-f-]{36}$")
        following = links(heard, r"\?after=")
        if not following:
            break
        heard = await visitor.open(following[0])
    assert len(found) == len(set(found)) == 70


async def test_what_stands_in_the_address_is_what_is_shown(visitor: Visitor) -> None:
    heard = await visitor.people("?status=active&q=a")
    page = heard.body.decode()
    assert 'value="a"' in page
    assert re.search(r'<option value="active" selected>Active \(\d+\)</option>', page)
    assert "found" in texts(heard)
    assert names(await visitor.people("?q=zzzz")) == []
    assert "Nobody in the copy is like that" in texts(await visitor.people("?q=zzzz"))


async def test_a_part_of_a_page_is_that_part_alone(visitor: Visitor) -> None:
    whole, rows = await visitor.people(), await visitor.people("?part=rows")
    assert names(rows) == names(whole) != []
    assert b"<html" not in rows.body
    assert b"data-count" not in rows.body
    assert "local copy" in texts(await visitor.people("?part=copy"))
    assert (await visitor.people("?part=main")).status == 400


@pytest.mark.parametrize("query", ["?population=nowhere", "?group=nobodies", f"?q={'a' * 300}", "?after=abc"])
async def test_what_cannot_be_meant_is_refused_with_what_to_do(visitor: Visitor, query: str) -> None:
    heard = await visitor.people(query)
    assert heard.status == 400
    assert "<h1>" in heard.body.decode()


async def test_a_page_has_little_weight(visitor: Visitor) -> None:
    heard = await visitor.people()
    assets = [len((await visitor.open(one)).body) for one in {*links(heard, "/assets/")}]
    script = re.findall(r'src="(/assets/[^"]+\.js)"', heard.body.decode())
    assert len(heard.body) + sum(assets) + len((await visitor.open(script[0])).body) < 150_000


async def test_the_path_of_a_connection_leads_to_its_people(visitor: Visitor) -> None:
    for path in (f"/c/{visitor.face.acme.id}/", f"/c/{visitor.face.acme.id}"):
        heard = await visitor.open(path)
        assert (heard.status, heard.header("location")) == (303, f"/c/{visitor.face.acme.id}/people"), heard.text


async def test_while_there_is_no_copy_it_says_that_a_sync_is_on_its_way(tmp_path: Path) -> None:
    async with visiting(tmp_path, synced=False) as visitor:
        for page in ("people", "groups", "changes", f"people/{_NOBODY}"):
            heard = await visitor.open(f"/c/{visitor.face.acme.id}/{page}")
            assert heard.status == 200
            assert "no copy of this directory yet" in texts(heard)
            assert "sync is on its way" in texts(heard)


async def test_one_person_is_shown_with_status_groups_manager_and_reports(visitor: Visitor) -> None:
    backend = await backend_of(visitor.face)
    rows = await backend.replica.store.read(
        lambda database: database.execute(
            "SELECT manager_id, id FROM users_ WHERE manager_id IS NOT NULL AND removed_at IS NULL"
        ).fetchall()
    )
    manager, report = rows[0]
    heard = await visitor.people(f"/{report}")
    assert links(heard, f"/people/{manager}$")
    assert links(await visitor.people(f"/{manager}"), f"/people/{report}$")
    said = texts(heard)
    for part in ("Status", "Contact and account", "Groups", "Administrator roles", "Changes", report):
        assert part in said
    assert "Roles are not in the copy" in said, "what was not read is not said to be none"
    assert "could not be read, or not whole: roles" in said


async def test_who_was_disabled_and_who_was_removed_are_shown_with_the_evidence(visitor: Visitor) -> None:
    users = [user["id"] for user in visitor.face.estate.company("acme").sandbox.users()]
    async with doors(visitor.face) as admin:
        assert await admin.send("PUT", f"/users/{users[3]}/enabled", {"enabled": False}) == 200
        assert await admin.send("DELETE", f"/users/{users[4]}") == 204
    await sync(visitor.face)
    disabled, removed = texts(await visitor.people(f"/{users[3]}")), texts(await visitor.people(f"/{users[4]}"))
    assert "An administrator has disabled the account." in disabled
    assert "Disabled" in disabled.partition("Changes")[2]
    assert "Removed from the directory" in removed
    assert "an event of the provider says so" in removed
    assert "last knew" in removed
    listed = await visitor.people("?status=removed")
    assert links(listed, f"/people/{users[4]}$")
    assert not links(listed, f"/people/{users[3]}$")


async def test_nobody_of_another_id_is_not_found(visitor: Visitor) -> None:
    assert (await visitor.people(f"/{_NOBODY}")).status == 404


async def test_a_sync_that_waits_for_a_person_is_said_above_everything(visitor: Visitor) -> None:
    sandbox = visitor.face.estate.company("acme").sandbox
    hidden = frozenset(user["id"] for user in list(sandbox.users())[:30])
    sandbox.narrow(sandbox.environment_id, Narrowing(hidden=hidden))
    await sync(visitor.face, "full")
    heard = await visitor.people()
    assert "A sync waits for a person" in texts(heard)
    assert "what is not found here may be there all the same" in texts(heard)
    assert "the copy is not whole: they may be there all the same" in texts(await visitor.people("?q=zzzz"))


async def test_hostile_names_are_text_and_nothing_of_them_is_hidden(tmp_path: Path) -> None:
    async with visiting(tmp_path, synced=False) as visitor:
        sandbox = visitor.face.estate.company("acme").sandbox
        sandbox.app = Hostile(sandbox.app)
        await sync(visitor.face, "full")
        pages = [await visitor.open(f"/c/{visitor.face.acme.id}/{page}") for page in ("people", "groups", "changes")]
        for listed in pages[:2]:
            pages += [await visitor.open(link) for link in links(listed, r"/(people|groups)/[0-9a-f-]{36}$")[:12]]
        assert len(pages) > 10
        for heard in pages:
            assert heard.status == 200, heard.text
            page = heard.body.decode()
            assert "<script>alert" not in page
            assert "<img src=x" not in page
            assert "<b style" not in page
            assert "49" not in page or "{{7*7}}" in page
            bad = [
                line
                for line in page.splitlines()
                if not hides_nothing(re.sub("[\\t\\r]", "", line).replace(JOINED, ""))
            ]
            assert bad == []
        assert "&lt;script&gt;" in pages[0].body.decode()


async def test_each_department_that_is_offered_finds_those_whom_it_counts_whatever_its_name_hides(
    tmp_path: Path,
) -> None:
    async with visiting(tmp_path, synced=False) as visitor:
        sandbox = visitor.face.estate.company("acme").sandbox
        sandbox.app = Hostile(sandbox.app)
        await sync(visitor.face, "full")
        page = (await visitor.people()).body.decode()
        choices = page.partition('<select id="department"')[2].partition("</select>")[0]
        offered = re.findall(r'<option value="([^"]+)">.*?\((\d+)\)</option>', choices, re.DOTALL)
        assert len(offered) > 3
        for name, count in offered:
            heard = await visitor.people(f"?part=results&department={quote(html.unescape(name))}")
            assert texts(heard).startswith(f"{count} p"), (name, texts(heard)[:200])


async def test_who_does_not_reach_a_connection_hears_what_one_that_does_not_exist_says(visitor: Visitor) -> None:
    other = await visitor.face.estate.link("bolt", tenant="other")
    key = await visitor.face.new_key("directory.read", connections=[visitor.face.acme.id])
    limited = await sign_in(visitor.face, key)
    for page in ("people", "groups", "changes", "live", f"people/{_NOBODY}", f"groups/{_NOBODY}"):
        there = await limited.open(f"/c/{other.id}/{page}")
        nowhere = await limited.open(f"/c/{_NOBODY}/{page}")
        assert there.status == nowhere.status == 404
        assert texts(there).partition("The log")[0] == texts(nowhere).partition("The log")[0]
        assert "bolt" not in there.text


async def test_who_may_not_read_the_directory_sees_nobody(tmp_path: Path) -> None:
    async with visiting(tmp_path, "directory.sync") as visitor:
        for page in ("people", "groups", "changes", "live"):
            heard = await visitor.open(f"/c/{visitor.face.acme.id}/{page}")
            assert heard.status == 403, page
