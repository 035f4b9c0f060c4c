"""The access review as a page: counts first, what is not known, who has what, page after page, and the manifest."""

from __future__ import annotations

import csv
import html
import io
import re
from pathlib import Path

import anyio
import pytest

from pingone_mcp.directory.provider import AccessQuestion
from pingone_mcp.service.jobs import MOST_AT_ONCE, JobProgress
from pingone_mcp.service.reviews.access_page import ReviewCover, cover_of_access
from tests.hostile import hidden_in
from tests.web.pages.reviewing.conftest import reviews, save, tickets
from tests.web.pages.visiting import MARKUP, Hostile, Visitor, backend_of, links, sign_in, sync, texts, visiting

MOST_BYTES = 150_000
ASSETS = 45_000
"""What style, script and icon of a page weigh at most; a test of the site weighs them."""


async def test_counts_come_first_then_charts_and_rows_and_the_manifest_at_the_end(visitor: Visitor) -> None:
    heard = await visitor.open(reviews(visitor))
    page, said = heard.body.decode(), texts(heard)
    order = [
        page.index(one) for one in ('class="tiles"', "<svg viewBox", 'id="rows"', 'id="manifest"', "How to verify")
    ]
    assert order == sorted(order)
    assert re.search(r"people with access \d+ of 40", said)
    for chart in ("People of the directory", "Deserves a look, people", "Entitlements by way", "Most people have"):
        assert f"<figcaption>{chart}</figcaption>" in page
    assert "style=" not in page
    assert not re.findall(r" on\w+=", page)


async def test_what_was_not_read_is_unknown_and_never_none(visitor: Visitor) -> None:
    heard = await visitor.open(reviews(visitor))
    said = texts(heard)
    assert "Incomplete:" in said
    assert "roles were not read" in said
    assert "privileged unknown" in said[: said.index("At a glance")], "among the counts"
    assert re.search(r"privileged</title></text><text [^>]*>unknown</text>", heard.body.decode()), "in the chart"
    assert "without access that is known" in said
    assert "as the directory was" in said
    assert "everybody was read" in said


async def test_a_file_that_was_saved_has_its_digest_on_the_page_which_says_how_to_verify_it(visitor: Visitor) -> None:
    assert "No file was made of this state of the copy yet" in texts(await visitor.open(reviews(visitor)))
    await save(visitor, f"{reviews(visitor)}/access.csv")
    heard = await visitor.open(reviews(visitor))
    assert re.search(r'<code class="digest">[0-9a-f]{64}</code>', heard.body.decode())
    said = texts(heard)
    assert "pingone-mcp review --verify FILE" in said
    assert "sha256sum FILE" in said
    assert "not complete" in said
    [digest] = re.findall('class="digest">([0-9a-f]+)<', heard.body.decode())
    await save(visitor, f"{reviews(visitor)}/access.csv")
    again = await visitor.open(reviews(visitor))
    assert digest in again.body.decode(), "nothing is made twice of one state of the copy"


async def test_another_state_of_the_copy_is_reviewed_anew(visitor: Visitor) -> None:
    await save(visitor, f"{reviews(visitor)}/access.csv")
    assert re.search(r"access-review-[\w-]+\.csv", (await visitor.open(reviews(visitor))).body.decode())
    await sync(visitor.face)
    heard = await visitor.open(reviews(visitor))
    assert "No file was made of this state of the copy yet" in texts(heard)
    assert not re.search(r"access-review-[\w-]+\.csv", heard.body.decode())


async def test_who_only_looks_makes_no_file_so_that_none_makes_way_that_somebody_saved(visitor: Visitor) -> None:
    folder = (await backend_of(visitor.face)).exports.folder.path / "reviews"
    await save(visitor, f"{reviews(visitor)}/access.csv")
    before = sorted(folder.iterdir())
    for query in ("", "?group=Finance", "?group=Sales", "?group=Engineering"):
        assert (await visitor.open(f"{reviews(visitor)}{query}")).status == 200
    assert sorted(folder.iterdir()) == before


async def test_a_page_is_shown_where_no_file_can_be_made_and_the_link_to_the_file_says_why(visitor: Visitor) -> None:
    folder = (await backend_of(visitor.face)).exports.folder.path
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "reviews").write_text("no folder")
    assert (await visitor.open(reviews(visitor))).status == 200
    heard = await visitor.open(f"{reviews(visitor)}/access.csv")
    assert (heard.status, "The file cannot be written" in texts(heard)) == (503, True)


async def test_a_page_that_was_found_is_shown_while_too_much_is_under_way_to_make_a_file(visitor: Visitor) -> None:
    served = await visitor.face.estate.fleet.current(visitor.face.acme)
    await visitor.open(reviews(visitor))
    goes_on = anyio.Event()

    async def lasts(_: JobProgress) -> None:
        await goes_on.wait()

    for number in range(MOST_AT_ONCE):
        await served.looks.of(number, "", lasts, asker="", seconds=0)
    assert (await visitor.open(reviews(visitor))).status == 200
    heard = await visitor.open(f"{reviews(visitor)}/access.csv")
    assert (heard.status, "are running already" in texts(heard)) == (400, True)
    goes_on.set()


async def test_pages_of_rows_hold_every_row_once_and_say_which_of_how_many(visitor: Visitor) -> None:
    there, seen, ranges = reviews(visitor), [], []
    while True:
        heard = await visitor.open(there)
        page = heard.body.decode()
        found = re.search(r"([\d,]+) to ([\d,]+) of ([\d,]+) rows", texts(heard))
        assert found is not None
        ranges.append([int(one) for one in found.groups()])
        seen += re.findall(r'<pre id="row-\d+" tabindex="0">(.*?)</pre>', page, re.DOTALL)
        more = links(heard, r"after=")
        if not more:
            break
        there = more[0].partition("#")[0]
    total = ranges[0][2]
    assert len(seen) == len(set(seen)) == total
    assert [begin for begin, _, _ in ranges] == [1, *(end + 1 for _, end, _ in ranges[:-1])]
    assert ranges[-1][1] == total


async def test_each_row_has_a_block_of_plain_text_for_a_ticket(visitor: Visitor) -> None:
    heard = await visitor.open(reviews(visitor))
    page = heard.body.decode()
    blocks = tickets(heard)
    assert len(blocks) == page.count('<details class="ticket">') == page.count("data-copy=") > 20
    for name in ("Access review: ", "Person: ", "Status: ", "MFA: ", "Has: ", "Data as of: ", "Deserves a look: "):
        assert any(name in one for one in blocks), name
    assert "<" not in "".join(blocks)
    copies = re.findall(r'<button [^>]*data-copy="([\w-]+)"[^>]*>', page)
    assert len(set(copies)) == len(copies)
    assert all(f'id="{one}"' in page for one in copies)
    assert all(" hidden>" in one for one in re.findall(r"<button [^>]*data-copy[^>]*>", page)), "without a script: text"


async def test_a_group_is_reviewed_and_a_name_that_is_none_is_a_sentence(visitor: Visitor) -> None:
    said = texts(await visitor.open(f"{reviews(visitor)}?group=Finance"))
    assert "Group Finance" in said
    assert "review everybody" in said
    for query in ("group=Nobody", "population=none", "role=none", f"group={'x' * 300}", "after=nonsense"):
        assert (await visitor.open(f"{reviews(visitor)}?{query}")).status == 400, query


@pytest.mark.parametrize("first", ["page", "file"])
async def test_counts_rows_tickets_and_file_of_a_small_group_have_the_roles_that_were_read_once(
    visitor: Visitor, first: str
) -> None:
    asked = visitor.face.estate.company("acme").sandbox.requests
    asked.clear()

    def roles_read() -> list[str]:
        return [one.path for one in asked if one.path.endswith("/roleAssignments")]

    async def page() -> None:
        heard = await visitor.open(f"{reviews(visitor)}?group=Engineering")
        said, rows = texts(heard), tickets(heard)
        assert re.search("privileged 2 ", said), "among the counts"
        assert len(re.findall("MFA (?:yes|no), privileged yes", said)) == 2
        assert sum("\nPrivileged: yes" in one for one in rows) == 2
        assert not [one for one in rows if "roles unknown" in one or "Privileged: unknown" in one]

    async def file() -> None:
        _, heard = await save(visitor, f"{reviews(visitor)}/access.csv?group=Engineering")
        people = list(csv.DictReader(io.StringIO(heard.body.decode("utf-8-sig"))))
        assert [one["privileged"] for one in people].count("yes") == 2

    for look in (page, file) if first == "page" else (file, page):
        await look()
    assert len(roles_read()) == len(set(roles_read())) > 0


async def test_a_review_that_the_copy_has_overtaken_says_so_and_is_made_anew_when_asked_again(visitor: Visitor) -> None:
    question = AccessQuestion()
    served = await visitor.face.estate.fleet.current(visitor.face.acme)
    backend = await served.backend()
    [asker] = set(
        re.findall('name="csrf" value="([^"]+)"', (await visitor.open(reviews(visitor, "drift"))).body.decode())
    )
    goes_on = anyio.Event()

    async def look(progress: JobProgress) -> ReviewCover:
        await goes_on.wait()
        return await cover_of_access(backend, question, seconds=0, progress=progress)

    under_way = await served.looks.of(("access", question), "of before", look, asker=asker, seconds=0)
    assert isinstance(under_way, JobProgress)
    goes_on.set()
    changed = "The directory has changed since this was found. Show it as it is now"
    assert changed in texts(await visitor.open(reviews(visitor)))
    assert changed not in texts(await visitor.open(reviews(visitor)))


async def test_nothing_hostile_gets_into_a_page_and_it_stays_small(tmp_path: Path) -> None:
    async with visiting(tmp_path, synced=False) as visitor:
        sandbox = visitor.face.estate.company("acme").sandbox
        sandbox.app = Hostile(sandbox.app)
        await sync(visitor.face)
        heard = await visitor.open(reviews(visitor))
        page = heard.body.decode()
        assert heard.status == 200
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert html.escape(MARKUP[:8]) in page, "it is shown as what it is: a text"
        assert all(len(one.split("\n")) < 20 for one in tickets(heard)), "a text makes no lines of its own"
        assert not hidden_in(page.replace("\n", " "))
        assert len(heard.body) + ASSETS < MOST_BYTES


async def test_before_the_first_sync_a_page_says_that_there_is_no_copy(tmp_path: Path) -> None:
    async with visiting(tmp_path, synced=False) as visitor:
        for path in ((), ("drift",), ("roles",), ("access.csv",), ("drift", "crm")):
            heard = await visitor.open(reviews(visitor, *path))
            assert "There is no copy of this directory yet" in texts(heard), path


async def test_who_may_not_read_or_does_not_reach_the_connection_sees_nothing(visitor: Visitor) -> None:
    face = visitor.face
    other = await face.estate.link("globex", tenant="other")
    paths = (
        (),
        ("access.csv",),
        ("drift",),
        ("drift", "crm"),
        ("drift", "crm", "drift.csv"),
        ("roles",),
        ("roles.csv",),
    )
    weak = await sign_in(face, await face.new_key("events.manage"))
    stranger = await sign_in(face, await face.new_key("directory.read", connections=[other.id]))
    for path in paths:
        assert (await weak.open(reviews(visitor, *path))).status == 403, path
        heard = await stranger.open(reviews(visitor, *path))
        ghost = await stranger.open(reviews(visitor, *path).replace(face.acme.id, "none"))
        assert (heard.status, ghost.status) == (404, 404), path
        assert (await face.ask("GET", reviews(visitor, *path), key="")).status == 303, (
            "who has not signed in is asked to"
        )
