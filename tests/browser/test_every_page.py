"""Every page and state: no barrier that axe finds, nothing too wide, no complaint of the browser."""

from __future__ import annotations

import pytest

from tests.browser.looking import look_at
from tests.browser.walking import Walk

OPEN = ("/sign-in", "/sign-in?next=/c/none/people")
SIGNED_IN = (
    "/",
    "/c/{connection}/people",
    "/c/{connection}/settings",
    "/c/{connection}/people?status=inactive&q=a",
    "/c/{connection}/people?q=nobody",
    "/c/{connection}/people/{user}",
    "/c/{connection}/groups",
    "/c/{connection}/groups/{group}",
    "/c/{connection}/changes",
)
FAILING = ("/c/none/settings",)


@pytest.mark.parametrize("path", OPEN)
async def test_pages_for_anybody(walk: Walk, path: str) -> None:
    await walk.open(path)
    assert await look_at(walk, path) == []


@pytest.mark.parametrize("path", SIGNED_IN)
async def test_pages_of_who_has_signed_in(walk: Walk, path: str) -> None:
    await walk.sign_in()
    sandbox = walk.site.estate.company("acme").sandbox
    user, group = next(iter(sandbox.users()))["id"], next(iter(sandbox.state().groups))
    await walk.open(path.format(connection=walk.site.acme.id, user=user, group=group))
    assert await look_at(walk, path) == []


@pytest.mark.parametrize("path", FAILING)
async def test_pages_of_failures(walk: Walk, path: str) -> None:
    await walk.sign_in()
    await walk.open(path)
    assert await walk.page.get_by_role("heading").first.inner_text() == "Not Found"
    assert await look_at(walk, path) == []
    walk.complaints.clear()  # the browser notes the status
