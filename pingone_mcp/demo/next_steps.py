"""What to do after the demo, in commands that work where it was started."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from rich.console import Console
from rich.text import Text

from pingone_mcp.advice import variable
from pingone_mcp.commands.setting_up.client_config import is_in_a_cache, own_program

_STEPS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "Next: write your own values into a file, see that they work, tell your assistant": (
            "guide settings > my.env",
            "--env-file my.env check",
            "--env-file my.env client-config claude-desktop",
        ),
        "Likewise for claude-code, vscode and cursor.\n"
        "Or stay at the shell: everybody as a file, a question in SQL, an access review": (
            "--env-file my.env export users --out users.csv",
            '--env-file my.env query "SELECT count(*) FROM users"',
            "--env-file my.env review --out review.csv",
        ),
        "Or look at it in a browser, and connect PingOne there\n"
        f"(with {variable('sandbox', '1')} set, it shows the sample company)": ("dashboard",),
    }
)


def print_next_steps(out: Console) -> None:
    """Print what to do next; no command is folded, for somebody copies it."""
    program = typed(own_program(sys.argv[0], sys.executable), kept=not is_in_a_cache(Path(sys.prefix)))
    for purpose, commands in _STEPS.items():
        out.print(purpose)
        for words in commands:
            out.print(Text(f"  {program} {words}"), soft_wrap=True)


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
