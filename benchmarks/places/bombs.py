"""A PingOne whose answers are bombs where they are asked for, and those of a sandbox otherwise."""

from __future__ import annotations

import sys
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from benchmarks.places.place import Place

_START, _END = b'{"_embedded":{"users":[', b"]}}"
_MEBIBYTE = 1024 * 1024
_PASSED_ON = ("Authorization", "Content-Type", "Accept")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bomb:
    """A body, and how it is encoded."""

    body: bytes
    encoding: str | None = None


def zipped(mebibytes: int) -> Bomb:
    """Return a small body that becomes so large."""
    packer = zlib.compressobj(9, wbits=31)
    spaces = b" " * _MEBIBYTE
    parts = [packer.compress(_START), *(packer.compress(spaces) for _ in range(mebibytes)), packer.compress(_END)]
    return Bomb(body=b"".join([*parts, packer.flush()]), encoding="gzip")


def array(mebibytes: int) -> Bomb:
    """Return a page of so many empty users that it has this size."""
    return Bomb(body=_START + b"{}," * (mebibytes * _MEBIBYTE // 3) + b"{}" + _END)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that has enough of a bomb goes
            super().handle_error(request, client_address)


@contextmanager
def mined(place: Place, bombs: Mapping[str, Bomb]) -> Iterator[Place]:
    """Serve a place, but for the requests that carry the name of a bomb."""
    server = _Server(("127.0.0.1", 0), _handler(place.base_url, bombs))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield replace(place, base_url=f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()


def _handler(behind: str, bombs: Mapping[str, Bomb]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = unquote(self.path)
            bomb = next((bomb for name, bomb in bombs.items() if name in asked), None)
            if bomb is None:
                self._pass_on()
            else:
                self._tell(200, "application/json", bomb.body, bomb.encoding)

        def do_POST(self) -> None:
            self._pass_on()

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            plain = HTTPConnection(urlsplit(behind).netloc)
            headers = {name: self.headers[name] for name in _PASSED_ON if name in self.headers}
            plain.request(self.command, self.path, body=body or None, headers=headers)
            answer = plain.getresponse()
            answered = answer.read().replace(behind.encode(), f"http://{self.headers['Host']}".encode())
            plain.close()
            self._tell(answer.status, answer.getheader("Content-Type", "application/json"), answered, None)

        def _tell(self, status: int, kind: str, body: bytes, encoding: str | None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if encoding is not None:
                self.send_header("Content-Encoding", encoding)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
