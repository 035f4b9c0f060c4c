"""Bodies of requests: within a size, a time, and a size of all together."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from starlette.types import Message

from pingone_mcp.web.bodies import MOST_BYTES, MOST_HOOK_BYTES
from tests.web.entrance import (
    HOOK,
    KEY,
    MCP,
    USERS,
    Entrance,
    ask,
    bearer,
    entrance,
)


@pytest.fixture
async def gate() -> AsyncIterator[Entrance]:
    async with entrance() as made:
        yield made


async def chunks(size: int) -> AsyncIterator[bytes]:
    for start in range(0, size, 65_536):
        yield b" " * min(65_536, size - start)


@pytest.mark.parametrize(("path", "most"), [(MCP, MOST_BYTES), (USERS, MOST_BYTES), (HOOK, MOST_HOOK_BYTES)])
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_that_is_too_long_is_refused(gate: Entrance, path: str, most: int, *, is_chunked: bool) -> None:
    content = chunks(most + 1) if is_chunked else b" " * (most + 1)
    response = await ask(gate, path, content=content)
    assert (response.status_code, response.headers["connection"]) == (413, "close")


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_the_longest_body_comes_whole(gate: Entrance, *, is_chunked: bool) -> None:
    content = chunks(MOST_BYTES) if is_chunked else b" " * MOST_BYTES
    assert (await ask(gate, USERS, content=content)).json()["body"] == MOST_BYTES
    assert (await ask(gate, USERS, content=b"1")).json()["body"] == 1


async def test_nobody_unknown_has_their_body_read(gate: Entrance) -> None:
    read: list[bool] = []

    async def watched() -> AsyncIterator[bytes]:
        read.append(True)
        yield b""

    assert (await ask(gate, USERS, None, content=watched())).status_code == 401
    assert read == []


@pytest.mark.parametrize("length", ["-1", "1e3", "x", "９"])
async def test_a_length_that_is_none_is_refused(gate: Entrance, length: str) -> None:
    headers = {"Content-Length": length} if length.isascii() else [("Content-Length", length.encode())]
    async with gate.client() as client:
        response = await client.post(USERS, headers=[*dict(headers).items(), *bearer(KEY).items()])
        assert response.status_code == 400


class Sender:
    """One request over ASGI whose body comes as the test says."""

    def __init__(self, gate: Entrance, path: str = USERS) -> None:
        self._app, self._path = gate.app, path
        self._parts, self._coming = anyio.create_memory_object_stream[Message](100)
        self.answered: list[Message] = []

    async def send(self, body: bytes, *, more: bool = True) -> None:
        await self._parts.send({"type": "http.request", "body": body, "more_body": more})

    async def leave(self) -> None:
        await self._parts.send({"type": "http.disconnect"})

    async def run(self, *more: tuple[bytes, bytes]) -> None:
        headers = [*more, (b"host", b"directory.example.com"), (b"authorization", f"Bearer {KEY}".encode())]
        scope = {
            "type": "http",
            "method": "POST",
            "path": self._path,
            "raw_path": self._path.encode(),
            "query_string": b"",
            "headers": headers,
            "client": ("192.0.2.1", 5),
        }
        await self._app(scope, self._coming.receive, self._answer)
        self._parts.close()
        self._coming.close()

    async def _answer(self, message: Message) -> None:
        self.answered.append(message)

    @property
    def statuses(self) -> list[int]:
        return [message["status"] for message in self.answered if "status" in message]


async def test_a_length_that_is_too_long_is_refused_and_nothing_of_it_held(gate: Entrance) -> None:
    senders = [Sender(gate) for _ in range(20)]
    async with anyio.create_task_group() as tasks:
        for sender in senders:
            tasks.start_soon(sender.run, (b"content-length", str(MOST_BYTES + 1).encode()))
            await sender.send(b" " * MOST_BYTES)
        await anyio.wait_all_tasks_blocked()
        assert [sender.statuses for sender in senders] == [[]] * 20, "its sender has not come to read the answer"
        for sender in senders:
            await sender.send(b" ", more=False)
    assert [sender.statuses for sender in senders] == [[413]] * 20


async def test_what_is_refused_holds_no_room_while_the_rest_goes_by(gate: Entrance) -> None:
    senders = [Sender(gate) for _ in range(16)]
    async with anyio.create_task_group() as tasks:
        for sender in senders:
            tasks.start_soon(sender.run)
            await sender.send(b" " * MOST_BYTES)
            await sender.send(b" ")
        await anyio.wait_all_tasks_blocked()
        assert (await ask(gate, USERS, content=b" " * MOST_BYTES)).status_code == 200
        for sender in senders:
            await sender.leave()


async def test_a_body_without_an_end_is_not_read_to_its_end(gate: Entrance) -> None:
    sender = Sender(gate)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sender.run)
        sent = 0
        while not sender.statuses:
            await sender.send(b" " * MOST_BYTES)
            await anyio.wait_all_tasks_blocked()
            sent += 1
    assert (sender.statuses, sent) == ([413], 18)


async def test_the_rest_of_a_body_that_is_too_long_is_waited_for_five_seconds(gate: Entrance) -> None:
    sender = Sender(gate)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sender.run, (b"content-length", str(MOST_BYTES + 1).encode()))
        await anyio.wait_all_tasks_blocked()
        await gate.time.passes(5.1)
    assert sender.statuses == [413]


async def test_who_asks_before_sending_is_answered_at_once(gate: Entrance) -> None:
    sender = Sender(gate)
    await sender.run((b"content-length", str(MOST_BYTES + 1).encode()), (b"expect", b"100-continue"))
    assert sender.statuses == [413]


@pytest.mark.parametrize("path", ["/healthz", "/ping"])
async def test_where_no_body_is_wanted_none_is_received(gate: Entrance, path: str) -> None:
    sender = Sender(gate, path)
    await sender.run((b"content-length", b"1000000"))
    assert sender.statuses == [200]


async def test_hooks_do_not_take_the_room_of_others(gate: Entrance) -> None:
    senders = [Sender(gate, HOOK) for _ in range(9)]
    async with anyio.create_task_group() as tasks:
        for sender in senders:
            tasks.start_soon(sender.run)
            await sender.send(b" " * MOST_HOOK_BYTES)
        await anyio.wait_all_tasks_blocked()
        assert [sender.statuses for sender in senders] == [[]] * 8 + [[503]]
        assert (await ask(gate, USERS, content=b" " * MOST_BYTES)).status_code == 200
        for sender in senders[:8]:
            await sender.leave()


async def test_a_hundred_hooks_that_come_byte_by_byte_keep_nobody_out(gate: Entrance) -> None:
    senders = [Sender(gate, HOOK) for _ in range(100)]
    async with anyio.create_task_group() as tasks:
        for sender in senders:
            tasks.start_soon(sender.run)
        for second in range(1, 30):
            for sender in senders:
                await sender.send(b" ")
            await gate.time.passes(float(second))
            await anyio.wait_all_tasks_blocked()
            if second % 10 == 0:
                assert (await ask(gate, HOOK, content=b" " * MOST_HOOK_BYTES)).status_code == 200
                assert (await ask(gate, USERS, content=b" " * MOST_BYTES)).status_code == 200
        await gate.time.passes(30.1)
    assert [sender.statuses for sender in senders] == [[408]] * 100


async def test_a_body_that_does_not_come_is_waited_for_half_a_minute(gate: Entrance) -> None:
    sender = Sender(gate)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sender.run)
        for second in range(1, 30):
            await sender.send(b" ")
            await gate.time.passes(float(second))
            await anyio.wait_all_tasks_blocked()
        assert sender.statuses == []
        await gate.time.passes(30.1)
    assert sender.statuses == [408]


async def test_who_leaves_in_the_middle_is_not_answered(gate: Entrance) -> None:
    sender = Sender(gate)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sender.run)
        await sender.send(b" ")
        await sender.leave()
    assert sender.answered == []


async def test_bodies_that_never_end_hold_no_more_than_so_much_together(gate: Entrance) -> None:
    senders = [Sender(gate) for _ in range(20)]
    async with anyio.create_task_group() as tasks:
        for sender in senders:
            tasks.start_soon(sender.run)
            await sender.send(b" " * MOST_BYTES)
        await anyio.wait_all_tasks_blocked()
        assert [sender.statuses for sender in senders] == [[]] * 16 + [[503]] * 4
        for sender in senders[:16]:
            await sender.leave()
    assert (await ask(gate, USERS, content=b" " * MOST_BYTES)).status_code == 200
