"""What to do after the demo, in commands that work where it was started."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pingone_mcp.commands.setting_up.client_config import is_in_a_cache, own_program

_SETTING_UP = (
    "guide settings > my.env",
    "--env-file my.env check",
    "--env-file my.env client-config claude-desktop",
)
_AT_THE_SHELL = (
    "--env-file my.env export users --out users.csv",
    '--env-file my.env query "SELECT count(*) FROM users"',
    "--env-file my.env review --out review.csv",
)


def next_steps() -> Iterator[str]:
    """Yield lines to print, of which a command is never folded: somebody copies it."""
    program = typed(own_program(sys.argv[0], sys.executable), kept=not is_in_a_cache(Path(sys.prefix)))
    yield "Next: put your own values into a file, see that they work, and add the server to your assistant"
    yield "(or to claude-code, vscode, cursor):"
    yield from (f"  {program} {words}" for words in _SETTING_UP)
    yield "Or stay at the shell: everybody as a file, a question in SQL, an access review with its manifest:"
    yield from (f"  {program} {words}" for words in _AT_THE_SHELL)


def typed(program: Sequence[str], *, kept: bool = True) -> str:
    """Return what a person types in this folder to start a program, which is an absolute path and its arguments.

    The name alone is enough where the PATH leads there and `kept` says that it will: that of uvx is gone afterwards.
    """
    path, *arguments = program
    words = [_shortest(Path(path), kept=kept), *arguments]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def _shortest(path: Path, *, kept: bool) -> str:
    found = shutil.which(path.stem if os.name == "nt" else path.name)
    if kept and found is not None and Path(found).absolute() == path:
        return path.stem if os.name == "nt" else path.name
    if path.is_relative_to(Path.cwd()):
        below = path.relative_to(Path.cwd())
        return str(below) if len(below.parts) > 1 else f".{os.sep}{below}"
    return str(path)
