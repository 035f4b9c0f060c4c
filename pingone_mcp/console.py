"""What people see in a terminal: coloured where it is one, plain where it is piped, JSON where it is asked for."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field

from rich.console import Console
from rich.markup import escape


def console() -> Console:
    """Return a console for stdout; off a terminal it neither colours nor folds lines."""
    piped = not sys.stdout.isatty()
    return Console(highlight=False, soft_wrap=piped, width=160 if piped else None)


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
    _console: Console = field(default_factory=console)

    def add(self, step: str, text: str, *, ok: bool, needed: bool = True) -> None:
        line = _Line(step=step, ok=ok, needed=needed, text=text)
        self._lines.append(line)
        if self.as_json:
            return
        mark, style = ("ok", "green") if ok else ("failed", "red") if needed else ("missing", "yellow")
        self._console.print(f"[{style}]{mark:<8}[/] [bold]{escape(step)}[/]: {escape(text)}")

    def close(self) -> bool:
        """Print the verdict; return whether everything that is needed is there."""
        works = all(line.ok or not line.needed for line in self._lines)
        if self.as_json:
            document = {"ok": works, "findings": [asdict(line) for line in self._lines]}
            sys.stdout.write(json.dumps(document) + "\n")
            return works
        missing = sum(not line.ok and not line.needed for line in self._lines)
        verdict = "This connection works." if works else "This connection does not work yet."
        rest = (
            f" {missing} part{'s' * (missing != 1)} cannot be read: answers that need them will say so."
            if missing
            else ""
        )
        self._console.print(f"\n[bold]{verdict}[/]{rest if works else ''}")
        return works
