"""Ids that look like PingOne's (random UUIDs) and are computed, never stored."""

from __future__ import annotations

from hashlib import blake2b
from uuid import UUID

_INDEX_BYTES = 5


def _dashed(bits: bytes) -> str:
    """Write 16 bytes as a UUID."""
    return f"{bits[:4].hex()}-{bits[4:10].hex('-', 2)}-{bits[10:].hex()}"


def stable_id(key: bytes, *parts: object) -> str:
    """Derive a UUID (version 4 in shape) from a key and a name."""
    name = "\x1f".join(str(part) for part in parts).encode()
    bits = bytearray(blake2b(name, key=key, digest_size=16).digest())
    bits[6] = bits[6] & 0x0F | 0x40
    bits[8] = bits[8] & 0x3F | 0x80
    return _dashed(bytes(bits))


class IndexIds:
    """Turn an index below 2**40 into a UUID and back, so that a million ids need no table.

    The first eleven bytes authenticate the index (less the six bits that say "version 4"); the last five hide it.
    """

    def __init__(self, key: bytes, purpose: str) -> None:
        own = blake2b(purpose.encode(), key=key, digest_size=32).digest()
        # Keyed once, and copied for each id: the key alone is half of the work.
        self._sealing = blake2b(key=own, digest_size=11)
        self._hiding = blake2b(key=own, digest_size=_INDEX_BYTES, person=b"pad")

    def _seal(self, index: int) -> bytes:
        digest = self._sealing.copy()
        digest.update(index.to_bytes(_INDEX_BYTES))
        seal = bytearray(digest.digest())
        seal[6] = seal[6] & 0x0F | 0x40
        seal[8] = seal[8] & 0x3F | 0x80
        return bytes(seal)

    def _hide(self, seal: bytes, index: bytes) -> bytes:
        pad = self._hiding.copy()
        pad.update(seal)
        return (int.from_bytes(index) ^ int.from_bytes(pad.digest())).to_bytes(_INDEX_BYTES)

    def of(self, index: int) -> str:
        """Give the id of an index."""
        seal = self._seal(index)
        return _dashed(seal + self._hide(seal, index.to_bytes(_INDEX_BYTES)))

    def index(self, text: str) -> int | None:
        """Give the index of an id, or None when this key made no such id."""
        try:
            bits = UUID(text).bytes
        except ValueError:
            return None
        seal = bits[:11]
        index = int.from_bytes(self._hide(seal, bits[11:]))
        return index if self._seal(index) == seal else None
