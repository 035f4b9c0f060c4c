"""The key ring: the keys that wrap all others, in a file for this user only, the current one first.

Who holds control data without this file can open nothing of what is sealed in them. The file has a key on each line
(base64url of 32 bytes) and may be written by hand. Keys behind the first are kept for what they still wrap: backups,
and rows of a rotation that did not come to its end.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from filelock import FileLock, Timeout

from pingone_mcp.advice import setting
from pingone_mcp.errors import Unconfigured
from pingone_mcp.private_files import NotPrivate, open_private, whole_file

KEY_BYTES = 32
_NONCE_BYTES = 12
_MOST_BYTES = 4 * 1024 * 1024  # 95,000 keys: a rotation an hour for ten years
_LOCK_SECONDS = 30


class ForeignKeys(Exception):
    """Nothing in the ring opens what was wrapped: another key wrapped it, or it is not what was asked for."""


def derived(key: bytes, info: str, length: int = KEY_BYTES) -> bytes:
    """Derive a key for one use, named by `info`, by HKDF with SHA-256 (RFC 5869)."""
    return HKDF(SHA256(), length, salt=None, info=f"pingone-mcp {info}".encode()).derive(key)


def encrypt(key: bytes, clear: bytes, context: bytes) -> bytes:
    """Return a nonce and the AES-256-GCM of `clear`, which opens only together with `context`."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, clear, context)


def decrypt(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """Open what `encrypt` made. Raises ForeignKeys."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context)
    except (InvalidTag, ValueError):
        raise ForeignKeys from None


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys by their ids, the current one first. An id says nothing about its key."""

    keys: dict[str, bytes] = field(repr=False)

    @classmethod
    def of(cls, *keys: bytes) -> KeyRing:
        return cls({derived(key, "id of a key", 8).hex(): key for key in keys})

    @property
    def current(self) -> str:
        """The id of the key that wraps from now on."""
        return next(iter(self.keys))

    def wrap(self, key: bytes, owner: str, *, by: str) -> bytes:
        """Wrap a data key of this owner by the key of this id. Raises ForeignKeys where there is none."""
        return encrypt(self._key(by), key, _context(owner))

    def unwrap(self, wrapped: bytes, owner: str, *, by: str) -> bytes:
        """Unwrap a data key. Raises ForeignKeys, also for one of another owner."""
        return decrypt(self._key(by), wrapped, _context(owner))

    def _key(self, by: str) -> bytes:
        try:
            return self.keys[by]
        except KeyError:
            raise ForeignKeys from None


def _context(owner: str) -> bytes:
    return f"pingone-mcp|data key|1|{owner}".encode()


class KeyFile:
    """The file of the ring. All methods read or write the disk, and raise Unconfigured with what to do about it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> KeyRing | None:
        """Return the ring; None where there is no file."""
        try:
            with open_private(self.path) as file:
                text = file.read(_MOST_BYTES)
        except FileNotFoundError:
            return None
        except NotPrivate as error:
            raise self._unsafe(error) from None
        except OSError as error:
            raise self._wrong(f"cannot be read: {error.strerror}") from None
        keys = [self._parsed(line) for line in text.split(b"\n") if line.strip()]
        if not keys:
            raise self._wrong("holds no key")
        return KeyRing.of(*keys)

    def make(self) -> KeyRing:
        """Return the ring, and make one of a single key where there is no file."""
        if (there := self.read()) is not None:
            return there  # in a folder, perhaps, in which nothing can be made
        with self._turn():
            if (there := self.read()) is not None:
                return there
            key = secrets.token_bytes(KEY_BYTES)
            self._write([key])
            return KeyRing.of(key)

    def change(self, keys: Callable[[KeyRing], list[bytes]]) -> KeyRing:
        """Put chosen keys, present or new, in the place of the present ones; return the ring as it is then.

        The file holds the old keys or the new ones, whenever the process or the machine ends.
        """
        with self._turn():
            ring = self.read()
            if ring is None:
                raise lost(self.path)
            chosen = keys(ring)
            if chosen != list(ring.keys.values()):
                self._write(chosen)
            return KeyRing.of(*chosen)

    def _write(self, keys: list[bytes]) -> None:
        text = b"".join(base64.urlsafe_b64encode(key) + b"\n" for key in keys)
        try:
            with whole_file(self.path) as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())  # before anything is wrapped by it
            _sync_folder(self.path.parent)
        except OSError as error:
            raise self._wrong(f"cannot be written: {error.strerror}") from None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        lock = FileLock(self.path.with_name(f"{self.path.name}.lock"), timeout=_LOCK_SECONDS, mode=0o600)
        try:
            lock.acquire()
        except (Timeout, OSError) as error:
            reason = getattr(error, "strerror", None) or "another process holds it"
            raise self._wrong(f"cannot be written: {reason}") from None
        try:
            yield
        finally:
            lock.release()

    def _parsed(self, line: bytes) -> bytes:
        line = line.strip().rstrip(b"=")
        try:
            key = base64.b64decode(line + b"=" * (-len(line) % 4), altchars=b"-_", validate=True)
        except binascii.Error:
            key = b""
        if len(key) != KEY_BYTES:
            raise self._wrong("has a line that is no key (base64url of 32 bytes)")
        return key

    def _wrong(self, what: str) -> Unconfigured:
        return Unconfigured(
            f"The key file {self.path} {what}.",
            f"Put the key file back that these control data were made with, or name it with {setting('key_file')}.",
            code="KEY_FILE",
        )

    def _unsafe(self, error: NotPrivate) -> Unconfigured:
        return Unconfigured(
            f"The key file is not safe: {error.strerror}.",
            f"Let {setting('key_file')} name the file itself, owned by the user who runs this, with one name and mode 0600.",
            code="KEY_FILE",
        )


def lost(path: Path) -> Unconfigured:
    """Say that control data need a key file that is not there, or is another one."""
    return Unconfigured(
        f"The key file {path} is missing, or is not the one that these control data were made with: what is sealed in "
        "them cannot be opened.",
        f"Put that file back from its backup, or name it with {setting('key_file')}. Without it every connection has to "
        "be connected again, in a new state folder or database.",
        code="KEY_FILE_LOST",
    )


def _sync_folder(folder: Path) -> None:
    """See that the name of a file is on the disk too; Windows has no such thing."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
