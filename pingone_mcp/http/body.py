"""The body of an answer: read whole, unpacked while it arrives, and no further than its limit."""

from __future__ import annotations

import zlib

import anyio.lowlevel
import httpx

_KIB = 1024
FAILED = 64 * _KIB
"""Bytes of an error body that are read: it says what it says in some KiB, and nothing hangs on what stands behind."""
PACKED = "gzip"
"""What may be asked for as Accept-Encoding: all that is unpacked here."""

SIZE = "pingone_mcp.size"
"""The extension of an answer that says how many bytes came for its body, packed as they were."""
_DROPPED = frozenset({b"content-encoding", b"content-length", b"set-cookie", b"set-cookie2"})
_TOO_LARGE = "pingone_mcp.too_large"


async def whole(response: httpx.Response, most: int) -> httpx.Response:
    """Return the answer with its body, unpacked; with none, and `is_too_large`, where that has more than `most` bytes.

    No cookie comes with it: no API needs one. Of an error the beginning is enough.
    Raises httpx.TransportError for a body that breaks off, and httpx.DecodingError for one that cannot be unpacked.
    """
    assert isinstance(response.stream, httpx.AsyncByteStream)
    most = most if response.is_success else min(most, FAILED)
    chunks: list[bytes] = []
    arrived = unpacked = 0
    too_large = False
    try:
        unpacking = _unpacking(response.headers)
        async for chunk in response.stream:
            if chunks:
                # Ten thousand may have come at once: others, and the end of our time, have their turn between two.
                await anyio.lowlevel.checkpoint()
            arrived += len(chunk)
            chunks.append(unpacking.more(chunk, most + 1 - unpacked))
            unpacked += len(chunks[-1])
            too_large = max(arrived, unpacked) > most
            if too_large:
                break
        else:
            unpacking.end()
    finally:
        await response.aclose()
    cut = too_large and response.is_success
    return httpx.Response(
        response.status_code,
        headers=[(name, value) for name, value in response.headers.raw if name.lower() not in _DROPPED],
        content=b"" if cut else b"".join(chunks)[:most],
        extensions={**response.extensions, SIZE: arrived, _TOO_LARGE: cut},
    )


def is_too_large(response: httpx.Response) -> bool:
    """Say whether an answer has no body here because it was larger than its limit."""
    return bool(response.extensions.get(_TOO_LARGE))


class _Plain:
    """A body that comes as it is."""

    def more(self, chunk: bytes, most: int) -> bytes:
        """Return the next bytes of the body, at most so many."""
        return chunk[:most]

    def end(self) -> None:
        """Raise httpx.RemoteProtocolError if the body does not end here."""


class _Gzip(_Plain):
    """A body packed by gzip (RFC 1952). No more of it is unpacked than is asked for, however much there is."""

    def __init__(self) -> None:
        self._inflating = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._any = False

    def more(self, chunk: bytes, most: int) -> bytes:
        self._any = True
        try:
            return self._inflating.decompress(chunk, most)
        except zlib.error as error:
            raise httpx.DecodingError("not gzip") from error

    def end(self) -> None:
        if self._any and not self._inflating.eof:  # the answer to HEAD says that it is packed, and is empty
            raise httpx.RemoteProtocolError("the packed body breaks off")


def _unpacking(headers: httpx.Headers) -> _Plain:
    match headers.get("content-encoding", "").strip().lower():
        case "" | "identity":
            return _Plain()
        case "gzip" | "x-gzip":
            return _Gzip()
    raise httpx.DecodingError("packed in a way that was not asked for")
