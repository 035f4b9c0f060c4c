"""Requests at a pace that does not wait for answers, so that a slow one does not make the next one late."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

import anyio
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

_LONGEST_HEAD = 16 * 1024


class Line:
    """One connection that is kept open; the least that a client can take in Python."""

    def __init__(self, stream: SocketStream, host: str, headers: Mapping[str, str]) -> None:
        self._stream, self._read = stream, BufferedByteReceiveStream(stream)
        self._head = "".join(f"{name}: {value}\r\n" for name, value in {"Host": host, **headers}.items())

    async def get(self, target: str) -> bytes:
        """Return the body at a path with its query, which is answered 200."""
        await self._stream.send(f"GET {target} HTTP/1.1\r\n{self._head}\r\n".encode())
        head = (await self._read.receive_until(b"\r\n\r\n", _LONGEST_HEAD)).decode("latin-1").lower()
        [length] = [line.partition(":")[2] for line in head.split("\r\n") if line.startswith("content-length:")]
        body = await self._read.receive_exactly(int(length))
        assert int(head.split(" ", 2)[1]) == HTTPStatus.OK, body
        return body

    async def aclose(self) -> None:
        await self._stream.aclose()


class Lines:
    """As many connections to a server as are needed at once."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._address = urlsplit(url)
        self._headers = headers
        self._free: list[Line] = []

    async def get(self, target: str) -> bytes:
        line = self._free.pop() if self._free else await self._opened()
        body = await line.get(target)
        self._free.append(line)
        return body

    async def aclose(self) -> None:
        for line in self._free:
            await line.aclose()

    async def _opened(self) -> Line:
        address = self._address
        return Line(await anyio.connect_tcp(address.hostname or "", address.port or 80), address.netloc, self._headers)


async def paced(lines: Lines, targets: Sequence[str], per_second: float) -> list[float]:
    """Ask for each target, so many in a second; return the seconds of each, from when its turn was to its last byte."""
    taken: list[float] = []
    begun = time.perf_counter()

    async def ask(target: str, turn: float) -> None:
        await lines.get(target)
        taken.append(time.perf_counter() - turn)

    async with anyio.create_task_group() as tasks:
        for number, target in enumerate(targets):
            turn = begun + number / per_second
            await anyio.sleep(max(0.0, turn - time.perf_counter()))
            tasks.start_soon(ask, target, turn)
    return taken
