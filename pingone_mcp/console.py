"""What people see in a terminal: coloured where it is one, plain where it is piped, JSON where it is asked for.

Whatever a command prints goes out here, without control, bidi, zero-width and tag characters: names in a directory and
of files are written by others. `shown` takes line breaks too, for a text of others within a line of ours.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from rich import progress as bars
from rich.cells import cell_len, chop_cells, set_cell_size
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.text import Text

from pingone_mcp.directory.text.harmless import clean, harmless, harmless_lines

_SECONDS_BETWEEN_LINES = 30.0


def console(*, stderr: bool = False) -> Console:
    """Return a console for stdout or stderr; off a terminal it neither colours nor folds lines."""
    piped = not (sys.stderr if stderr else sys.stdout).isatty()
    # :bomb: in somebody's name stays what it is.
    return _Console(highlight=False, emoji=False, soft_wrap=piped, width=160 if piped else None, stderr=stderr)


class _Console(Console):
    """A console that prints what is harmless, and leaves it to the command line what to do when its reader has gone."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=harmless_lines(segment.text))

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def shown(text: str) -> str:
    """Return a text that somebody else has written as it may be shown in a terminal."""
    return harmless(text)


def print_rows(
    out: Console, rows: Sequence[Sequence[str]], *, style: str = "", prose: bool = False, headed: bool = False
) -> None:
    """Print rows in columns, each one line; a terminal is not left: what has no room ends in an ellipsis.

    With `prose` the last column is for reading: it is folded there, and not cut. With `headed` the first row is a
    heading.
    """
    for number, line in enumerate(_laid_out(rows, out.width - 2 if out.is_terminal else None, prose=prose)):
        out.print(Text(f"  {line}", style="bold" if headed and number == 0 else style), no_wrap=True, crop=False)


def print_table(
    out: Console,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    prose: bool = False,
    whole: Collection[str] = (),
) -> None:
    """Print rows under their headings, as `print_rows` does; more columns than a terminal has room for, row by row.

    Those that are `whole`, such as ids, are not cut.
    """
    uncut = frozenset(place for place, name in enumerate(columns) if name in whole)
    if out.is_terminal and len(columns) > 1 and _least(columns, rows, uncut) > out.width:
        for number, row in enumerate(rows, 1):
            out.print(Text(f"row {number:,}", style="bold"))
            print_rows(out, [(name, value) for name, value in zip(columns, row, strict=True) if value], prose=True)
        return
    room = out.width if out.is_terminal else None
    heading, *lines = _laid_out([columns, *rows], room, prose=prose, uncut=uncut)
    out.print(Text(heading, style="bold"), no_wrap=True, crop=False)
    for line in lines:
        out.print(Text(line), no_wrap=True, crop=False)


_LEAST_WIDTH = 10  # of a column in a terminal, on average
_LEAST_BESIDE_WHOLE = 8
_BETWEEN = 2


def _least(columns: Sequence[str], rows: Sequence[Sequence[str]], uncut: Collection[int]) -> int:
    """Return how wide a terminal is at least that such a table is readable in."""
    if not uncut:
        return len(columns) * _LEAST_WIDTH
    whole = sum(max(cell_len(row[place]) for row in (columns, *rows)) for place in uncut)
    return whole + (len(columns) - len(uncut)) * _LEAST_BESIDE_WHOLE + _BETWEEN * (len(columns) - 1)


def _laid_out(
    rows: Sequence[Sequence[str]], room: int | None, *, prose: bool, uncut: Collection[int] = ()
) -> Iterator[str]:
    """Yield lines with the cells of each row in columns; `room` is how long a line may be (None: as long as it is)."""
    if not rows:
        return
    widths = [max(cell_len(row[column]) for row in rows if column < len(row)) for column in range(max(map(len, rows)))]
    if room is not None:
        widths = fitted_widths(widths, room - _BETWEEN * (len(widths) - 1), prose=prose, uncut=uncut)
    for row in rows:
        *cells, last = row
        begin = "".join(f"{_cut(cell, width)}{' ' * _BETWEEN}" for cell, width in zip(cells, widths, strict=False))
        if room is None:
            yield f"{begin}{last}".rstrip()
            continue
        width = max(widths[len(cells)], 1)
        if not prose:
            yield f"{begin}{_cut(last, width)}".rstrip()
            continue
        first, *more = _folded(last, width)
        yield f"{begin}{first}".rstrip()
        yield from (f"{' ' * cell_len(begin)}{line}".rstrip() for line in more)


def fitted_widths(widths: Sequence[int], room: int, *, prose: bool = False, uncut: Collection[int] = ()) -> list[int]:
    """Return the widths of columns that have so much room together: the widest give way first.

    The last one gives way to the others down to a third of the room where it is `prose`. Those that are `uncut` give
    no way.
    """
    found = list(widths)
    if prose and sum(found) > room:
        found[-1] = max(room - sum(found[:-1]), min(found[-1], room // 3))
    spared = {*uncut, len(found) - 1} if prose and len(found) > 1 else set(uncut)
    yielding = [place for place in range(len(found)) if place not in spared]
    while sum(found) > room and yielding:
        widest = max(yielding, key=found.__getitem__)
        if found[widest] <= 1:
            break
        found[widest] -= 1
    return found


def _cut(cell: str, width: int) -> str:
    """Return a cell in exactly so many columns of a terminal."""
    if cell_len(cell) > width:
        cell = f"{set_cell_size(cell, width - 1).rstrip()}…" if width > 1 else "…"[:width]
    return cell + " " * (width - cell_len(cell))


def _folded(text: str, width: int) -> list[str]:
    """Return a text in lines of so many columns, broken between words where that is possible."""
    lines = [""]
    for word in text.split():
        for piece in chop_cells(word, width):
            longer = f"{lines[-1]} {piece}".lstrip()
            if cell_len(longer) <= width:
                lines[-1] = longer
            else:
                lines.append(piece)
    return lines


def print_warnings(out: Console, warnings: Iterable[str]) -> None:
    for warning in warnings:
        out.print(Text(f"Note: {shown(warning)}", style="yellow"))


def print_json(document: Any, *, indent: int | None = None) -> None:
    """Print one JSON document; between programs it is UTF-8 (RFC 8259), elsewhere it is escaped."""
    escaped = sys.stdout.encoding.lower() != "utf-8"
    say(json.dumps(clean(document), ensure_ascii=escaped, indent=indent))


def say(text: str, *, stderr: bool = False, end: str = "\n") -> None:
    """Print a text of ours as it is, without colours and folding."""
    out = sys.stderr if stderr else sys.stdout
    out.write(f"{harmless_lines(text)}{end}")
    out.flush()


class Progress:
    """How far a job is, shown on stderr: in a terminal a bar for each stage, `kept` at the end or removed.

    Where it is none, with `lines` a line for each stage at its end, and for a long one now and then; else nothing.
    `now` is monotonic, in seconds.
    """

    def __init__(self, *, kept: bool = False, lines: bool = False, now: Callable[[], float] = time.monotonic) -> None:
        out = console(stderr=True)
        self._out = out
        self._lines = lines and not out.is_terminal
        self._bars = bars.Progress(
            bars.TextColumn("{task.description:<12}"),
            bars.BarColumn(),
            bars.TextColumn("{task.fields[amount]}"),
            console=out,
            transient=not kept,
            disable=not out.is_terminal,
        )
        self._stage: str | None = None
        self._done = 0
        self._amount = ""
        self._now = now
        self._said_at = 0.0
        self._task: bars.TaskID | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._end(done=kind is None)
        self._bars.stop()

    def report(self, stage: str, done: int, about: int | None) -> None:
        """Take note of the stage, how much of it is done, and how much it is about in all.

        Less than before is the stage begun anew: no bar goes backwards.
        """
        if stage != self._stage or done < self._done:
            self._end(done=stage != self._stage)
            self._stage, self._amount, self._said_at = stage, "", self._now()
            self._task = self._bars.add_task(stage, total=None, amount="")
        self._done = done
        self._amount = f"{done:,}" if done else self._amount
        if about and done < about:
            self._amount = f"{done:,} of about {about:,}"
        if self._lines and self._now() - self._said_at >= _SECONDS_BETWEEN_LINES:
            self._out.print(Text(f"{stage}: {self._amount or 'begun'} so far"))
            self._said_at = self._now()
        assert self._task is not None
        self._bars.update(self._task, completed=min(done, about) if about else done, total=about, amount=self._amount)

    def _end(self, *, done: bool) -> None:
        """Close a stage; one that was broken off stays as it is."""
        if self._stage is None or self._task is None:
            return
        if done:
            self._bars.update(self._task, completed=1, total=1, amount=self._amount)
        if self._lines and done:
            self._out.print(Text(f"{self._stage}: {self._amount if self._done else 'done'}"))
        self._stage = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    step: str
    ok: bool
    needed: bool
    text: str


@dataclass(slots=True, kw_only=True)
class Report:
    """A check-up, printed line by line as it proceeds, or as JSON at its end."""

    as_json: bool
    _lines: list[_Line] = field(default_factory=list[_Line])
    _notes: int = 0
    _console: Console = field(default_factory=console)

    def add(self, step: str, text: str, *, ok: bool, needed: bool = True) -> None:
        line = _Line(step=step, ok=ok, needed=needed, text=text)
        self._lines.append(line)
        if self.as_json:
            return
        mark, style = ("ok", "green") if ok else ("failed", "red") if needed else ("missing", "yellow")
        self._console.print(f"[{style}]{mark:<8}[/] [bold]{escape(shown(step))}[/]: {escape(shown(text))}")

    def note(self, text: str) -> None:
        """Add what a person should know of the settings, though nothing is lacking for it."""
        self._notes += 1
        self._lines.append(_Line(step="settings", ok=False, needed=False, text=text))
        if not self.as_json:
            self._console.print(f"[yellow]{'note':<8}[/] [bold]settings[/]: {escape(shown(text))}")

    def close(self) -> bool:
        """Print the verdict; return whether everything that is needed is there."""
        works = all(line.ok or not line.needed for line in self._lines)
        if self.as_json:
            document = {"ok": works, "findings": [asdict(line) for line in self._lines]}
            print_json(document)
            return works
        missing = sum(not line.ok and not line.needed for line in self._lines) - self._notes
        verdict = "This connection works." if works else "This connection does not work yet."
        rest = (
            f" {missing} part{'s are' if missing != 1 else ' is'} missing, and answers that need that will say so."
            if missing
            else ""
        )
        self._console.print(f"\n[bold]{verdict}[/]{rest if works else ''}")
        return works
