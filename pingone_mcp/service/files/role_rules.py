"""Where the rules for roles of a connection may be: in a file that a person has named, or where they were put."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pingone_mcp.advice import setting
from pingone_mcp.errors import Refused
from pingone_mcp.private_files import PrivateFolder
from pingone_mcp.reports.role_rules import Rules
from pingone_mcp.reports.rules_file import MAX_BYTES, parse_rules
from pingone_mcp.service.files.given_files import read_whole
from pingone_mcp.service.rosters.shelf import RULES


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFiles:
    """The file that a setting names, and the connection's own folder."""

    named: Path | None
    own: PrivateFolder | None = None

    def read(self) -> Rules:
        """Return the rules as they are now; blocks. Raises Refused where there are none, two of them, or wrong ones."""
        own = None if self.own is None else _own(self.own)
        if own is not None and self.named is not None:
            raise Refused(
                f"There are two sets of rules for roles: in the file that {setting('roles_file')} names, and those that were "
                "put for this connection.",
                f"Remove one: unset {setting('roles_file')}, or `pingone-mcp rosters rules --remove` (DELETE /role-rules).",
                code="AMBIGUOUS_RULES",
            )
        if own is not None:
            return parse_rules(own)
        if self.named is not None:
            return parse_rules(_named(self.named))
        put = (
            ""
            if self.own is None
            else "`pingone-mcp rosters rules FILE` puts them, and so does PUT /role-rules where it is served; or "
        )
        person = f"{'the' if put else 'The'} person who runs this server sets {setting('roles_file')}"
        raise Refused(
            "No rules for roles are configured.",
            f"{put}{person} (`pingone-mcp guide roles` tells how to write it).",
            code="NO_RULES",
        )


def _own(folder: PrivateFolder) -> str | None:
    try:
        with folder.open(RULES) as file:
            return file.read(MAX_BYTES + 1).decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        raise Refused(
            "The rules that were put for this connection cannot be read.", "Put them again.", code="NO_RULES"
        ) from None


def _named(path: Path) -> str:
    try:
        return read_whole(path, MAX_BYTES, what=f"The file that {setting('roles_file')} names").decode()
    except FileNotFoundError:
        raise Refused(f"There is no file where {setting('roles_file')} says.", code="NO_RULES") from None
    except (OSError, UnicodeDecodeError):
        raise Refused(
            f"The file that {setting('roles_file')} names cannot be read as a text in UTF-8.", code="NO_RULES"
        ) from None
