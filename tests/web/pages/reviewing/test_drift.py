"""Rosters and their drift as pages: what there is, how old it is, what was found, and that looking changes nothing."""

from __future__ import annotations

import html
import re

from tests.web.pages.reviewing.conftest import push, reviews, tickets
from tests.web.pages.reviewing.test_access import ASSETS, MOST_BYTES
from tests.web.pages.visiting import Visitor, backend_of, links, sync, texts


def people(visitor: Visitor) -> list[dict[str, str]]:
    return list(visitor.face.estate.company("acme").sandbox.users())


async def test_without_a_roster_the_page_says_how_to_get_one_and_that_nothing_was_compared(visitor: Visitor) -> None:
    said = texts(await visitor.open(reviews(visitor, "drift")))
    assert "There is no roster yet, so nothing can be compared" in said
    assert "pingone-mcp rosters push NAME FILE" in said
    heard = await visitor.open(reviews(visitor, "drift", "crm"))
    assert (heard.status, "There is no roster" in texts(heard)) == (400, True)


async def test_rosters_are_listed_with_their_accounts_and_ages(visitor: Visitor) -> None:
    await push(visitor, "crm", "a@example.com,a,active", "b@example.com,b,active")
    heard = await visitor.open(reviews(visitor, "drift"))
    assert links(heard, "/reviews/drift/crm$")
    assert re.search(r"2 accounts, pushed [\d-]+ [\d:]+ UTC \(less than a minute ago\)", texts(heard))


async def test_a_roster_shows_counts_a_chart_and_the_rows_of_each_kind(visitor: Visitor) -> None:
    known = people(visitor)
    first = known[0]
    await push(visitor, "crm", f"{first['email']},{first['username']},active", "gone@example.com,gone,active")
    heard = await visitor.open(reviews(visitor, "drift", "crm"))
    said = texts(heard)
    assert "accounts in the roster 2" in said
    assert "<figcaption>Findings by kind</figcaption>" in heard.body.decode()
    assert "Accounts without a user in the directory 1 to 1 of 1" in said
    [block] = tickets(heard)
    for line in (
        "Drift of crm: accounts without a user in the directory",
        "email in the application: gone@example.com",
    ):
        assert line in block.splitlines()
    other = await visitor.open(f"{reviews(visitor, 'drift', 'crm')}?kind=unexpected")
    assert links(other, "/people/")
    assert "Active users without an account" in texts(other)
    for query in ("kind=invented", "from=x", "from=1234567"):
        assert (await visitor.open(f"{reviews(visitor, 'drift', 'crm')}?{query}")).status == 400, query


async def test_an_account_that_differs_in_several_attributes_is_one_finding_of_several_rows(visitor: Visitor) -> None:
    await push_odd(visitor, 3)
    said = texts(await visitor.open(f"{reviews(visitor, 'drift', 'crm')}?kind=attribute_mismatches"))
    assert "1 to 8 of 8 rows, which show 3 findings" in said, "one of them has no title"


async def push_odd(visitor: Visitor, count: int) -> None:
    """Push a roster of so many people, each of whom it describes wrongly in up to three ways."""
    lines = [f"{one['email']},{one['username']},Odd Odd,Odd,Odd" for one in people(visitor)[:count]]
    content = "\n".join(("email,username,name,title,department", *lines)).encode()
    await visitor.face.estate.rosters.keeping.push(visitor.face.acme.id, "crm", "csv", content)


async def test_many_and_hostile_findings_are_bounded_and_counted_and_no_row_is_lost(visitor: Visitor) -> None:
    hostile = "<img src=x onerror=alert(1)>" + "<&>'" * 70
    await push(visitor, "crm", *(f'{hostile}{one}@example.com,"{one} {hostile}",active' for one in range(3_000)))
    there, seen = reviews(visitor, "drift", "crm"), []
    while True:
        heard = await visitor.open(there)
        assert len(heard.body) + ASSETS < MOST_BYTES
        assert "<img src=x" not in heard.body.decode()
        assert re.search(r"[\d,]+ to [\d,]+ of 3,000 \(the first 500 are on these pages\)", texts(heard))
        seen += re.findall(
            r"^username in the application: (\d+) ", "\n".join(map(html.unescape, tickets(heard))), re.MULTILINE
        )
        more = links(heard, "from=")
        if not more:
            break
        there = more[0].partition("#")[0]
    assert seen == [str(one) for one in range(500)]


async def test_looking_is_no_check_and_what_is_new_since_the_last_one_is_said(visitor: Visitor) -> None:
    from pingone_mcp.service.reviews.drift import check_drift

    known = f"{people(visitor)[0]['email']},,active"
    await push(visitor, "crm", known, "gone@example.com,gone,active")
    assert "Since the check of" not in texts(await visitor.open(reviews(visitor, "drift", "crm")))
    backend = await backend_of(visitor.face)
    await check_drift(backend, backend.rosters.find("crm"))
    await push(visitor, "crm", known, "gone@example.com,gone,active", "new@example.com,new,active")
    for _ in range(2):
        said = texts(await visitor.open(reviews(visitor, "drift", "crm")))
        assert re.search(r"Since the check of [\d-]+ [\d:]+ UTC : new: 1 missing\.", said), said
        await sync(visitor.face)


async def test_a_list_whose_columns_fit_nobody_is_not_called_free_of_drift(visitor: Visitor) -> None:
    await push(visitor, "crm", ",,active")
    said = texts(await visitor.open(reviews(visitor, "drift", "crm")))
    assert "Nothing was compared" in said
    assert "No drift" not in said
