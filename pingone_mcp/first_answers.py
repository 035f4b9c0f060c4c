"""What the server says first, known before it is loaded: as it was learned on this machine, or as it was shipped.

What a client asks first has the same answer every time, as long as nothing changes that the answer is made from. That
is a lot: Python, the SDK and what it stands on, our own files, the settings. So the answers are kept in a file that is
named after all of them: where anything differs, the name does, and the SDK is asked. After each start the answers are
compared with what the SDK says (`server/stdio.py`), and kept anew. `handshake.json`, which is shipped, is the first
guess for the versions named in it.

It runs before anything else is loaded, so it imports nothing that takes long.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import NamedTuple

from pingone_mcp import __version__
from pingone_mcp.advice import variable
from pingone_mcp.private_files import NotPrivate, PrivateFolder, read_named

_PACKAGE = Path(__file__).parent
_MAKERS = ("mcp", "mcp_types", "pydantic", "pydantic_core")
"""The packages that words come from; the versions of all that is installed beside them count too."""
_MOST_FILES = 16  # one for each set of versions and settings that is in use on this machine
_LARGEST = 4_000_000  # bytes
# A line of an env file whose value is beyond doubt, and one that says anything about the folder at all.
MOST_ENV_BYTES = 64 * 1024
"""Of a file of settings: the parser takes time by the square of what is in one value."""
_PLAIN_FOLDER = re.compile(r"\s*(?:export\s+)?PINGONE_CACHE_DIR\s*=\s*(['\"]?)([\w./~@:+-]*)\1\s*", re.IGNORECASE)
_ANY_FOLDER = re.compile(r"PINGONE_CACHE_DIR", re.IGNORECASE)


class Frozen(NamedTuple):
    """The text of each result by protocol version and method; the version offered to who asks for an unknown one."""

    results: Mapping[str, Mapping[str, str]]
    otherwise: str


NOTHING = Frozen({}, "")
"""What is known of a server that does not always say the same."""


class Kept(NamedTuple):
    """The folder and the name of the file for the answers of this very server; the name is what they are made from."""

    folder: PrivateFolder
    key: str
    env_file: Path | None

    @property
    def file(self) -> Path:
        return self.folder.path / self.key

    def known(self) -> Frozen | None:
        """Return the answers of this server; None when the SDK might say anything else."""
        guess = self._guess()
        return guess if guess != NOTHING else None

    def _guess(self) -> Frozen | None:
        return self._learned() or (None if self.env_file else shipped())

    def _learned(self) -> Frozen | None:
        try:
            stored = json.loads(self._content())
            return Frozen(stored["results"], stored["otherwise"])
        except (KeyError, OSError, TypeError, ValueError):
            return None

    def _content(self) -> bytes:
        """Return what stands in the file; raises OSError and ValueError when it is not one that `keep` has written."""
        with self.folder.open(self.key) as opened:
            mark, _, content = opened.read(_LARGEST).partition(b"\n")
        if mark != self._mark(content):
            raise ValueError("damaged, or made for something else")
        return content

    def _mark(self, content: bytes) -> bytes:
        return hashlib.sha256(self.key.encode() + content).hexdigest().encode()

    def keep(self, said: Frozen) -> None:
        """Take over what the SDK said, unless it is known or something has changed since; a full disk is no failure."""
        if kept(self.env_file) != self or self._guess() == said:
            return
        content = json.dumps(said._asdict(), ensure_ascii=False).encode()
        try:
            self.folder.write(self.key, [self._mark(content), b"\n", content])
            self._clear()
        except NotPrivate as error:
            import logging  # noqa: PLC0415 - start-up time

            logging.getLogger(__name__).warning("The first answers are not kept: %s.", error.strerror)
        except OSError:
            pass

    def _clear(self) -> None:
        """Remove what was made for versions of long ago."""
        newest_last = sorted(self.file.parent.iterdir(), key=lambda file: file.lstat().st_mtime_ns)
        for old in newest_last[:-_MOST_FILES]:
            old.unlink()


def kept(env_file: Path | None) -> Kept | None:
    """Return the place of this server's answers; None where none can be kept."""
    if sys.platform == "win32":  # nothing is answered early there: handshake.py tells why
        return None
    try:
        key, folder = _circumstances(env_file), _cache_folder(env_file)
    except (OSError, RuntimeError, ValueError):
        return None
    return None if folder is None else Kept(PrivateFolder(folder, "first-answers"), key, env_file)


def shipped() -> Frozen | None:
    """Return the answers that came with the package; None when they were made for something else than this process."""
    if sys.flags.optimize > 1 or is_set(os.environ, "allow_writes"):
        return None  # without docstrings (-OO), and with writes, tools are described otherwise
    try:
        stored = json.loads((_PACKAGE / "handshake.json").read_bytes())
        if stored["pingone_mcp"] != __version__ or not all(map(_is_installed, stored["made_with"].items())):
            return None
        return Frozen(stored["results"], stored["otherwise"])
    except (AttributeError, KeyError, OSError, TypeError, ValueError):
        return None


def is_set(variables: Mapping[str, str], setting: str) -> bool:
    """Say whether the variable of a setting has a value, in capitals or not, as pydantic-settings looks for it."""
    return any(value and name.upper() == variable(setting) for name, value in variables.items())


def _is_installed(package: tuple[str, str]) -> bool:
    """Look for the folder that installers leave beside a package; importlib.metadata alone takes 30 ms to load."""
    name, version = package
    return (_home(name) / f"{name}-{version}.dist-info").is_dir()


def _home(package: str) -> Path:
    """Return the folder in which a package lies; raises ValueError when it is no ordinary one."""
    found = PathFinder.find_spec(package)
    if found is None or found.origin is None:
        raise ValueError("no such package")
    return Path(found.origin).parents[1]


# Everything that can change an answer


def _circumstances(env_file: Path | None) -> str:
    """Return one word for all that the answers are made from. Raises OSError and ValueError when it cannot be said."""
    homes = {package: _home(package) for package in _MAKERS}
    env = env_file and env_file.stat()
    facts = (
        sys.version,
        sys.flags.optimize,
        [(str(home), _installed(home)) for home in sorted(set(homes.values()))],
        [_stamp(home / package / "__init__.py") for package, home in homes.items()],
        sorted(_files(_PACKAGE)),
        _variables(),
        env and (str(env_file), env.st_dev, env.st_ino, env.st_size, env.st_mtime_ns, env.st_ctime_ns),
    )
    return hashlib.sha256(repr(facts).encode(errors="surrogateescape")).hexdigest()


def _installed(home: Path) -> list[tuple[str, int]]:
    """Name everything that is installed in a folder, in which version, and when that was."""
    with os.scandir(home) as entries:
        return sorted(
            (entry.name, entry.stat().st_mtime_ns)
            for entry in entries
            if entry.name.endswith((".dist-info", ".egg-info"))
        )


def _files(folder: Path | str) -> Iterator[tuple[str, int, int]]:
    """Name the files in a folder, with size and time, but for what Python makes of them."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file():
                yield _stamp(entry)
            elif entry.name != "__pycache__":
                yield from _files(entry.path)


def _stamp(file: Path | os.DirEntry[str]) -> tuple[str, int, int]:
    found = file.stat()
    return os.fspath(file), found.st_size, found.st_mtime_ns


def _variables() -> list[tuple[str, str | bool]]:
    """Return our variables, of two spellings the one that counts last; of a secret only whether there is one."""
    own = ((name, value) for name, value in os.environ.items() if name.upper().startswith("PINGONE_"))
    return sorted(
        ((name, bool(value) if "SECRET" in name.upper() else value) for name, value in own),
        key=lambda variable: variable[0].upper(),
    )


def _cache_folder(env_file: Path | None) -> Path | None:
    """Return the folder that `Settings.cache_folder` names; None when only the settings can say which that is."""
    given = ""
    if env_file is not None:
        content = read_named(env_file, MOST_ENV_BYTES).decode()
        lines = [text for text in content.splitlines() if _ANY_FOLDER.search(text)]
        for text in lines:
            plain = _PLAIN_FOLDER.fullmatch(text)
            if plain is None and not text.lstrip().startswith("#"):
                return None
            given = plain[2] if plain else given
    for name, value in os.environ.items():
        if name.upper() == "PINGONE_CACHE_DIR" and value:
            given = value
    if given:
        return Path(given).expanduser()
    from platformdirs import user_cache_path  # noqa: PLC0415 - only where nobody has chosen a folder

    return user_cache_path("pingone-mcp", appauthor=False)
