"""The feed of changes, for whoever follows it: named once for each copy, and read from a place on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pingone_mcp.directory.scope import Scope
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.exporting.feed import FeedPage, FeedPlace, feed_page
from pingone_mcp.replica.store.feed import feed_of
from pingone_mcp.sandbox.app import Sandbox
from tests.replica.happenings import Doors
from tests.replica.truth import Copy
from tests.world import NOW, World

SCOPE = Scope()


@pytest.fixture
def kept(tmp_path: Path) -> Copy:
    return Copy(World(sandbox=Sandbox(40, now=NOW), cache=tmp_path / "cache"))


async def change(kept: Copy, known_as: str) -> str:
    """Let one user get another external id, and sync; return the user's id."""
    user: str = next(kept.sandbox.users())["id"]
    async with Doors(kept.sandbox) as doors:
        await doors.send("PATCH", f"/users/{user}", {"externalId": known_as})
    assert (await kept.sync()).changes == {"user.updated": 1}
    return user


async def read(kept: Copy, after: FeedPlace | None, *, skip: bool = False) -> FeedPage:
    page = await kept.store.read(lambda database: feed_page(Snapshot(database, SCOPE), after, skip=skip))
    assert page is not None
    return page


async def test_a_feed_begins_behind_what_the_first_sync_found(kept: Copy) -> None:
    await kept.sync()
    first = await read(kept, None)
    assert (first.changes, first.has_more) == ((), False)
    user = await change(kept, "a-1")
    page = await read(kept, None)
    assert [one.user.id for one in page.changes] == [user]
    assert page.until == FeedPlace(first.until.feed, page.changes[0].id)
    assert page.users[user]["external_id"] == "a-1"
    assert "groups" in page.users[user]
    assert (await read(kept, page.until)).changes == ()
    await change(kept, "a-2")
    assert len((await read(kept, page.until)).changes) == 1
    assert len((await read(kept, None)).changes) == 2


async def test_who_skips_is_behind_everything(kept: Copy) -> None:
    await kept.sync()
    await change(kept, "a-1")
    skipped = await read(kept, None, skip=True)
    assert (skipped.changes, skipped.has_more) == ((), False)
    assert (await read(kept, skipped.until)).changes == ()


async def test_a_place_of_another_feed_or_of_a_later_state_is_none(kept: Copy) -> None:
    await kept.sync()
    await change(kept, "a-1")
    here = (await read(kept, None)).until
    assert len((await read(kept, FeedPlace("another", here.number))).changes) == 1
    assert len((await read(kept, FeedPlace(here.feed, here.number + 1))).changes) == 1


async def test_what_was_forgotten_is_passed_over(kept: Copy) -> None:
    await kept.sync()
    begins = (await read(kept, None)).until
    await change(kept, "a-1")
    await change(kept, "a-2")
    await kept.store.write(
        lambda database: database.execute("DELETE FROM changes_ WHERE id <= ?", (begins.number + 1,))
    )
    assert [one.id for one in (await read(kept, begins)).changes] == [begins.number + 2]


async def test_a_copy_of_an_older_version_gets_its_name_with_the_next_sync(kept: Copy) -> None:
    await kept.sync()
    await change(kept, "a-1")
    await kept.store.write(lambda database: database.execute("DELETE FROM facts_ WHERE name LIKE 'feed%'"))

    def unnamed(database: Any) -> FeedPage | None:
        return feed_page(Snapshot(database, SCOPE), None, skip=False)

    assert await kept.store.read(unnamed) is None
    user = await change(kept, "a-2")
    page = await read(kept, None)
    assert [(one.user.id, one.after) for one in page.changes if one.after] == [
        (user, {"external_id": "a-2", "updated_at": page.users[user]["updated_at"]})
    ]
    assert await kept.store.read(feed_of) is not None
