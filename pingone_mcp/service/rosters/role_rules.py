"""The rules for roles that a connection has of its own: put whole, once they are right, into a file of its folder."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pingone_mcp.errors import NoSuchConnection, NotFound, Refused
from pingone_mcp.private_files import PrivateFolder
from pingone_mcp.reports.rules_file import MAX_BYTES, parse_rules
from pingone_mcp.service.rosters.shelf import RULES, FilesFailed, Shelves
from pingone_mcp.tasks import in_thread

if TYPE_CHECKING:
    from pingone_mcp.control.linked import LinkedConnections
    from pingone_mcp.reports.role_rules import Rules
    from pingone_mcp.service.rosters.keeping import ForgetFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRules:
    """Rules as they were put: `text` in TOML, how many they are (None: they cannot be read any more), and when."""

    text: str
    rules: int | None
    exclusive: int | None
    received_at: datetime


class RuleKeeping:
    """The use cases of the rules of connections, of whom callers were found to reach them."""

    def __init__(self, linked: LinkedConnections, shelves: Shelves, forget: ForgetFiles) -> None:
        self._linked, self._shelves, self._forget = linked, shelves, forget

    async def put(self, connection: str, content: bytes) -> KeptRules:
        """Put rules in the place of those before. Raises Refused, with the lines, for wrong ones: those stay then."""
        text = _text(content)
        await in_thread(parse_rules, text, pool="answers")
        async with self._shelves.turn(connection):
            try:
                await in_thread(self._folder(connection).write, RULES, [text.encode()], pool="disk")
            except OSError as error:
                raise FilesFailed(error) from None
            if await self._linked.get(connection) is None:
                await self._forget(connection)
                raise NoSuchConnection
        return await self.show(connection)

    async def show(self, connection: str) -> KeptRules:
        """Return the rules. Raises NotFound."""
        return await in_thread(self._read, connection, pool="answers")

    async def remove(self, connection: str) -> None:
        """Remove the rules. Raises NotFound."""
        async with self._shelves.turn(connection):
            try:
                await in_thread((self._folder(connection).path / RULES).unlink, pool="disk")
            except FileNotFoundError:
                raise _none() from None
            except OSError as error:
                raise FilesFailed(error) from None

    def _read(self, connection: str) -> KeptRules:
        folder = self._folder(connection)
        try:
            with folder.open(RULES) as file:
                text = file.read(MAX_BYTES + 1).decode(errors="replace")
            at = (folder.path / RULES).stat().st_mtime
        except FileNotFoundError:
            raise _none() from None
        except OSError as error:
            raise FilesFailed(error) from None
        rules: Rules | None
        try:
            rules = parse_rules(text)
        except Refused:
            rules = None
        return KeptRules(
            text=text,
            rules=None if rules is None else len(rules.rules),
            exclusive=None if rules is None else len(rules.exclusive),
            received_at=datetime.fromtimestamp(at, UTC),
        )

    def _folder(self, connection: str) -> PrivateFolder:
        return self._shelves.folder_of(connection)


def _text(content: bytes) -> str:
    """Return rules as a text. Raises Refused for what is none, or too long."""
    if len(content) > MAX_BYTES:
        raise Refused(
            f"The rules are longer than {MAX_BYTES // 1024 // 1024} MiB.",
            "Keep what is needed of them.",
            code="TOO_LARGE",
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Refused(
            f"The rules are no text in UTF-8: line {line} holds a byte that does not belong there.",
            "Save them as UTF-8.",
            code="BAD_RULES",
        ) from None


def _none() -> NotFound:
    return NotFound(
        "This connection has no rules for roles of its own.",
        "Put them: PUT /role-rules, or `pingone-mcp rosters rules FILE`.",
        code="NO_RULES",
    )
