"""Role rules as a page: who has roles that exclude each other, which rules are odd, and what it says without any."""

from __future__ import annotations

import re

from tests.web.pages.reviewing.conftest import RULES, reviews, tickets
from tests.web.pages.visiting import Visitor, links, texts


async def test_without_rules_nothing_is_said_of_conflicts(visitor: Visitor) -> None:
    said = texts(await visitor.open(reviews(visitor, "roles")))
    assert "whether anybody has conflicting roles is not known" in said
    assert "pingone-mcp rosters rules FILE" in said


async def test_conflicts_come_first_with_a_ticket_for_each(visitor: Visitor) -> None:
    await visitor.face.estate.rosters.rules.put(visitor.face.acme.id, RULES)
    heard = await visitor.open(reviews(visitor, "roles"))
    said = texts(heard)
    assert "people have roles that exclude each other" in said
    assert "Users with roles that exclude each other 1 to" in said
    assert links(heard, "/people/")
    assert any(
        "roles that exclude each other: reader; approver" in one and "note: four eyes" in one for one in tickets(heard)
    )
    odd = await visitor.open(f"{reviews(visitor, 'roles')}?kind=unknown_groups")
    assert "<b>No such group</b>" in texts(odd)
    assert "<b>No such" not in odd.body.decode()
    assert (await visitor.open(f"{reviews(visitor, 'roles')}?kind=none")).status == 400


async def test_who_has_several_conflicts_is_one_finding_of_several_rows(visitor: Visitor) -> None:
    more = b'[[rule]]\nrole = "clerk"\ngroup = "*"\n[[exclusive]]\nroles = ["reader", "clerk"]\n'
    await visitor.face.estate.rosters.rules.put(visitor.face.acme.id, RULES + more)
    said = texts(await visitor.open(reviews(visitor, "roles")))
    found = re.search(r"1 to \d+ of (\d+) rows, which show (\d+) findings", said)
    assert found is not None, said
    assert int(found[2]) < int(found[1]) <= 2 * int(found[2])


async def test_rules_that_exclude_nothing_are_not_called_free_of_conflicts(visitor: Visitor) -> None:
    await visitor.face.estate.rosters.rules.put(visitor.face.acme.id, RULES.partition(b"[[exclusive]]")[0])
    said = texts(await visitor.open(reviews(visitor, "roles")))
    assert "The rules name no roles that exclude each other" in said
