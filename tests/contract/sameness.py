"""Whether the local copy answers as the live directory does: the same rows, totals, gaps and refusals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pingone_mcp.directory.models import Deactivated, Group, JsonObject, Member, User
from pingone_mcp.directory.provider import Directory, Question
from pingone_mcp.directory.rows import choose_fields, deactivated_row, group_row, list_row, plain
from pingone_mcp.errors import Problem
from tests.contract.rules import identity, items, pages


def shown(item: Any) -> JsonObject:
    """Return all that an item shows, memberships and roles in one order."""
    found: JsonObject = plain(item)
    for holder in (found, found.get("user", {})):
        for name in ("groups", "roles", "parents"):
            if name in holder:
                holder[name] = sorted(holder[name], key=str)
    return found


def row(item: Any) -> JsonObject:
    fields = choose_fields(None, several_organizations=True)
    match item:
        case User():
            return list_row(item, fields)
        case Group():
            return group_row(item, several_organizations=True)
        case Deactivated():
            return deactivated_row(item, fields)
        case Member():
            return list_row(item.user, fields) | {"membership": item.type}
    raise AssertionError


def by_id(found: Sequence[Any]) -> list[Any]:
    return sorted(found, key=identity)


def as_dated_as(live: Any, item: Any) -> Any:
    """Return an item of the copy without what the live one does not say of when and by whom."""
    if not isinstance(item, Deactivated):
        return item
    return replace(item, at=item.at if live.at else None, by=item.by if live.by else None)


async def check_same(live: Directory, copy: Directory, question: Question) -> int:
    """Fail where the copy answers a question otherwise than the live directory; return how many it finds."""
    asked, copied = await pages(live, question), await pages(copy, question)
    here, there = by_id(items(copied)), by_id(items(asked))
    assert [identity(item) for item in here] == [identity(item) for item in there], question
    # When and by whom somebody was deactivated the copy may know, and the list of the disabled does not say.
    here = [as_dated_as(other, one) for one, other in zip(here, there, strict=True)]
    assert [shown(item) for item in here] == [shown(item) for item in there], question
    assert [row(item) for item in here] == [row(item) for item in there], question
    for page in copied:
        assert page.total == page.about == len(here), question
    assert [page.total for page in asked if page.total not in (None, len(here))] == [], question
    assert asked[-1].gaps == copied[-1].gaps
    return len(here)


def comparable(problem: Problem) -> tuple[Any, ...]:
    """Return what a refusal says; candidates may be listed in another order, and supported names are many."""
    what = re.sub(r"[0-9a-f-]{36}( \(environment [0-9a-f-]{36}\))?", "…", problem.what)
    ids = sorted(re.findall(r"[0-9a-f-]{36}", problem.what))
    step = problem.next_step.split(" Supported attributes")[0]
    return type(problem), problem.code, what, ids, step
