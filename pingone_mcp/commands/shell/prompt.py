"""A prompt for SQL: lines that are typed become statements, and a few words with a dot are the prompt's own.

What is typed is remembered until it ends, and written nowhere: queries name people.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Protocol

import anyio
from rich.console import Console
from rich.text import Text

from pingone_mcp.console import console, say
from pingone_mcp.errors import Problem
from pingone_mcp.interrupts import asking_a_person, pressing

_FIRST, _NEXT = "pingone> ", "    ...> "
_HELP = """\
A statement is one SELECT; ; ends it, over as many lines as it takes.
.views         the views             .views users   the columns of one
.help          this                  .quit          end (or Ctrl-D)
Ctrl-C breaks off what is typed, or the query that runs."""


class ViewHelp(Protocol):
    """A view as it is described."""

    @property
    def about(self) -> str: ...
    @property
    def columns(self) -> Mapping[str, str]: ...


class Prompt:
    """Read statements and let them be answered. `describe` prints the views, or one of them."""

    def __init__(
        self,
        *,
        views: Mapping[str, ViewHelp],
        answer: Callable[[str], Awaitable[None]],
        describe: Callable[[Console, str], None],
        read: Callable[[str], str] = input,
    ) -> None:
        self._views = views
        self._answer = answer
        self._describe = describe
        self._read = read

    async def run(self) -> None:
        """Go on until .quit or the end of the input."""
        self._prepare()
        say("One SELECT, ended by ;   .views: what there is   .help   .quit", stderr=True)
        typed: list[str] = []
        while True:
            try:
                with asking_a_person():
                    line = self._read(_NEXT if typed else _FIRST)
            except EOFError:
                say("", stderr=True)
                return
            except KeyboardInterrupt:
                say("", stderr=True)
                typed.clear()
                continue
            if not typed and line.strip().startswith("."):
                if line.split()[0] in (".quit", ".exit"):
                    return
                self._command(line.split())
                continue
            if line.strip() or typed:
                typed.append(line)
            if line.rstrip().endswith(";"):
                await self._ask("\n".join(typed))
                typed.clear()

    def _command(self, words: list[str]) -> None:
        with _told():
            if words[0] == ".views":
                self._describe(console(), " ".join(words[1:]))
                return
            say(_HELP if words[0] == ".help" else f"There is no {words[0]}.\n{_HELP}")

    async def _ask(self, sql: str) -> None:
        """Let a statement be answered; Ctrl-C ends it, and not the prompt."""
        loop = asyncio.get_running_loop()
        with anyio.CancelScope() as scope, pressing(lambda *_: loop.call_soon_threadsafe(scope.cancel)), _told():
            await self._answer(sql)
        if scope.cancelled_caught:
            say("Broken off.", stderr=True)

    def _prepare(self) -> None:
        """Let the line be edited, and Tab complete names, where Python can do that."""
        if self._read is not input:
            return
        with suppress(ImportError):
            import readline  # noqa: PLC0415 - hardly anybody needs it, and Windows has none

            names = sorted({*self._views, *(name for view in self._views.values() for name in view.columns)})

            def complete(begun: str, state: int) -> str | None:
                found = [name for name in names if name.startswith(begun)]
                return found[state] if state < len(found) else None

            readline.set_completer(complete)
            readline.parse_and_bind("bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete")


@contextmanager
def _told() -> Iterator[None]:
    """Print what a Problem says, and go on."""
    try:
        yield
    except Problem as problem:
        console(stderr=True).print(Text(str(problem), style="red"))
