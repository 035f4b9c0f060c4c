"""What every request asks for is remembered for a moment, and never longer than it may be."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr

import pingone_mcp.control.remembered as module
from pingone_mcp.control.control import ControlData, ControlPlace, open_control
from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.control.remembered import REMEMBERED_SECONDS, Remembered
from tests.control.conftest import Hands


class Rows:
    """Rows as a database has them, and the questions that it was asked."""

    def __init__(self, **rows: int) -> None:
        self.rows = rows
        self.asked: list[set[str]] = []

    async def read(self, ids: Collection[str]) -> dict[str, int]:
        self.asked.append(set(ids))
        return {one: self.rows[one] for one in ids if one in self.rows}


async def test_a_key_that_was_used_ends_when_this_process_revokes_it(control: ControlData) -> None:
    new = await control.api_keys.create(name="k", permissions=["directory.read"])
    text = new.text.get_secret_value()
    for _ in range(2):
        assert await control.api_keys.verify(text) is not None
    await control.api_keys.revoke(new.key.id)
    assert await control.api_keys.verify(text) is None


async def test_a_key_that_another_process_revokes_ends_within_a_second(
    control: ControlData, hands: Hands, database_url: SecretStr | None, tmp_path: Path
) -> None:
    new = await control.api_keys.create(name="k", permissions=["directory.read"])
    text = new.text.get_secret_value()
    for _ in range(2):  # the first use is noted, and what is noted is read anew
        assert await control.api_keys.verify(text) is not None
    async with open_control(ControlPlace(folder=tmp_path / "state", database_url=database_url)) as other:
        await other.api_keys.revoke(new.key.id)
    hands.go(seconds=REMEMBERED_SECONDS)
    assert await control.api_keys.verify(text) is None


async def test_a_remembered_key_is_still_recognized_by_its_whole_text(control: ControlData) -> None:
    new = await control.api_keys.create(name="k", permissions=["directory.read"])
    text = new.text.get_secret_value()
    assert await control.api_keys.verify(text) is not None
    assert await control.api_keys.verify(text[:-1] + ("0" if text[-1] != "0" else "1")) is None


async def test_a_connection_is_as_this_process_left_it(control: ControlData, linked: LinkedConnection) -> None:
    connections = control.connections
    assert await connections.lately(linked.id) == linked
    assert await connections.update(linked.id, is_paused=True) == await connections.lately(linked.id)
    assert await connections.replace_credentials(linked.id, {}) == await connections.lately(linked.id)
    await connections.remove(linked.id)
    assert await connections.lately(linked.id) is None


async def test_a_connection_is_as_another_process_left_it_a_second_ago(
    control: ControlData, linked: LinkedConnection, hands: Hands, database_url: SecretStr | None, tmp_path: Path
) -> None:
    assert await control.connections.lately(linked.id) == linked
    place = ControlPlace(folder=tmp_path / "state", database_url=database_url)
    async with open_control(place, hands.clock) as other:
        changed = await other.connections.update(linked.id, is_paused=True)
    hands.go(seconds=REMEMBERED_SECONDS)
    assert await control.connections.lately(linked.id) == changed


async def test_what_is_not_kept_leaves_what_is_remembered(control: ControlData, linked: LinkedConnection) -> None:
    assert await control.connections.lately(linked.id) == linked

    async def change_and_fail() -> None:
        async with control.transaction():
            await control.connections.update(linked.id, is_paused=True)
            assert await control.connections.get(linked.id) != linked
            raise LookupError

    with pytest.raises(LookupError):
        await change_and_fail()
    assert await control.connections.lately(linked.id) == linked


async def test_what_changes_while_it_is_read_is_read_again(hands: Hands) -> None:
    rows = Rows(a=1)
    going, go = anyio.Event(), anyio.Event()

    async def slow(ids: Collection[str]) -> dict[str, int]:
        found = await rows.read(ids)
        going.set()
        await go.wait()
        return found

    remembered = Remembered(slow, hands.clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(remembered.get, "a")
        await going.wait()
        rows.rows["a"] = 2
        remembered.forget("a")
        go.set()
    assert await remembered.get("a") == 2


async def test_all_that_was_asked_for_lately_is_read_at_once(hands: Hands) -> None:
    rows = Rows(a=1, b=2, c=3)
    remembered = Remembered(rows.read, hands.clock)
    for one in ("a", "b", "c", "b"):
        await remembered.get(one)
    hands.go(seconds=20)
    assert [await remembered.get(one) for one in ("a", "b", "c")] == [1, 2, 3]
    hands.go(seconds=20)
    await remembered.get("b")
    assert rows.asked == [{"a"}, {"b"}, {"c"}, {"a", "b", "c"}, {"a", "b", "c"}]
    hands.go(seconds=20)
    rows.rows.pop("b")
    assert await remembered.get("a") == 1
    assert (rows.asked[-1], await remembered.get("b")) == ({"a", "b"}, None)  # nobody asked for c in the last 30 s


async def test_no_more_is_remembered_than_has_room(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 2)
    rows = Rows(a=1, b=2, c=3)
    remembered = Remembered(rows.read, hands.clock)
    for one in ("a", "b", "a", "c", "none", "a"):
        await remembered.get(one)
    assert rows.asked == [{"a"}, {"b"}, {"c"}, {"none"}]
    assert len(remembered) == 2


def test_what_another_process_changes_is_seen_within_a_second() -> None:
    assert REMEMBERED_SECONDS <= 1
