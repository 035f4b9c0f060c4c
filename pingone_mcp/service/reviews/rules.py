"""The rules for roles that the person who runs the server has written: read anew for each question."""

from __future__ import annotations

from pathlib import Path

from pingone_mcp.advice import setting
from pingone_mcp.errors import Refused
from pingone_mcp.reports.role_rules import Rules
from pingone_mcp.reports.rules_file import MAX_BYTES, parse_rules
from pingone_mcp.service.files.given_files import read_whole
from pingone_mcp.tasks import in_thread


async def read_rules(path: Path | None, *, takes_files: bool = True) -> Rules:
    """Return the rules in a file as they are now. Raises Refused where there is none, or wrong ones are in it.

    `takes_files` says whether there could be a file.
    """
    if path is None and not takes_files:
        raise Refused(
            "A linked connection has no rules for roles where many are served: a file of them holds for one directory.",
            f"At the shell `pingone-mcp roles --connection C` applies the file that {setting('roles_file')} names.",
            code="NO_RULES",
        )
    if path is None:
        raise Refused(
            "No rules for roles are configured.",
            f"The person who runs this server sets {setting('roles_file')} (`pingone-mcp guide roles` tells how to write it).",
            code="NO_RULES",
        )
    return await in_thread(_read, path, pool="disk")


def _read(path: Path) -> Rules:
    try:
        return parse_rules(read_whole(path, MAX_BYTES, what=f"The file that {setting('roles_file')} names").decode())
    except FileNotFoundError:
        raise Refused(f"There is no file where {setting('roles_file')} says.", code="NO_RULES") from None
    except (OSError, UnicodeDecodeError):
        raise Refused(
            f"The file that {setting('roles_file')} names cannot be read as a text in UTF-8.", code="NO_RULES"
        ) from None
