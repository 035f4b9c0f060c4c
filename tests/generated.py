"""Files that are made of the code: `make generated` writes all of them anew, and a test holds each against its maker.

To add one: a function that returns what its files should hold, and its line in GENERATORS.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path

from pingone_mcp.cli import whole_parser
from pingone_mcp.commands.shell import manual
from pingone_mcp.commands.shell.parsed import parsed
from pingone_mcp.settings import template
from shipping import registry
from tests import test_readme
from tests.pingone import specifications
from tests.process import test_handshake
from tests.server import test_surface
from tests.unmade import CannotBeMade

ROOT = Path(__file__).resolve().parents[1]
HOW = "run `make generated`, and review the difference"
_SHOWN_LINES = 30

Files = Mapping[Path, str | None]
"""What each file should hold; None: it should not be there."""

GENERATORS: dict[str, Callable[[], Files]] = {
    "settings": lambda: {ROOT / ".env.example": template.template()},
    "manual": lambda: {ROOT / "docs" / "pingone-mcp.1": f"{manual.page(*parsed(whole_parser()))}\n"},
    "registry": lambda: {registry.FILE: registry.written(registry.server_json())},
    "readme": test_readme.files,
    "surface": test_surface.files,
    "handshake": test_handshake.files,
    "operations": specifications.files,
}


def stale(name: str) -> dict[str, str]:
    """Return, by file, how what lies there differs from what the code says today. Raises CannotBeMade."""
    found: dict[str, str] = {}
    for path, text in GENERATORS[name]().items():
        lies = path.read_text(encoding="utf-8") if path.exists() else None
        if lies != text:
            lines = difflib.unified_diff(
                (lies or "").splitlines(), (text or "").splitlines(), "there", "made", "", "", 1
            )
            found[path.relative_to(ROOT).as_posix()] = "\n".join(line[:200] for line in islice(lines, _SHOWN_LINES))
    return found


def write(name: str) -> list[Path]:
    """Write the files of a generator anew; return those that have changed. Raises CannotBeMade."""
    changed: list[Path] = []
    for path, text in GENERATORS[name]().items():
        if text is None:
            path.unlink()
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8", newline="\n")
        else:
            continue
        changed.append(path)
    return changed


def main() -> None:
    """Write everything anew, and say what has changed."""
    for name in GENERATORS:
        try:
            changed = write(name)
        except CannotBeMade as reason:
            print(f"{name}: left as it is. {reason}")  # noqa: T201 - it is said to a person
            continue
        said = ", ".join(path.relative_to(ROOT).as_posix() for path in changed)
        print(f"{name}: {said or 'nothing has changed'}")  # noqa: T201 - as above


if __name__ == "__main__":
    main()
