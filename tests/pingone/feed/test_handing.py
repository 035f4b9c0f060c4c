"""A page is noted when it was handed over and kept, and never before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from pingone_mcp.pingone.feed.handing import FoundPage, HandingOver
from pingone_mcp.pingone.feed.ledger import Ledger, NotKept, OpenPart
from pingone_mcp.pingone.feed.ranges import UserRange
from pingone_mcp.pingone.wire import ReadUser
from pingone_mcp.pingone.wire.structs import PingOneUser

PART = UserRange(batch=0)


class FailingLedger(Ledger):
    """Notes that can no longer be written in the middle of the second page, and then can again."""

    pages = 0

    def begin_page(self, ids: Iterable[str]) -> set[str]:
        self.pages += 1
        if self.pages != 2:
            return super().begin_page(ids)
        super().begin_page(list(ids)[:1])
        raise NotKept("full", "Make room.", code="NOTES_NOT_KEPT")


def page(*ids: str, following: str | None) -> FoundPage[str]:
    users = [ReadUser(PingOneUser(id=identity), {}) for identity in ids]
    return FoundPage(PART, following, users, (), lambda user: user.known.id)


@asynccontextmanager
async def put(ledger: Ledger, *pages: FoundPage[str]) -> AsyncIterator[HandingOver[str]]:
    """Put pages beside the block."""
    handing = HandingOver[str](ledger)

    async def put_all() -> None:
        for one in pages:
            await handing.put(one)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(put_all)
        yield handing
        tasks.cancel_scope.cancel()
    handing.refuse()
    handing.end()


async def test_a_page_whose_users_could_not_be_noted_was_not_handed_over(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    ledger = FailingLedger(path, "test")
    ledger.plan([PART.name()])
    async with put(ledger, page("a", "b", following="/2"), page("c", "d", following="/3")) as handing:
        assert (await handing.take()).users == ("a", "b")
        with pytest.raises(NotKept):
            await handing.take()
        handing.keep()
    ledger.close()
    again = Ledger(path, "test")
    assert again.begin_page(["c", "d"]) == {"c", "d"}
    assert again.open_parts() in ([OpenPart(PART.name(), link)] for link in (None, "/2"))
    again.close()
