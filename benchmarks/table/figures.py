"""What is compared, the bar that is promised, and the table that a person reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Comparison = Literal["ratio", "speed-up", "difference", "itself"]
_DECIMALS = {"s": 3, "ms": 1, "MiB": 1, "requests/s": 1, "pages/s": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A promise: the value of a figure is at most, or at least, so much."""

    kind: Literal["at most", "at least"]
    value: float

    def __str__(self) -> str:
        return f"{'≤' if self.kind == 'at most' else '≥'} {self.value:g}"

    def is_met(self, value: float) -> bool:
        return value <= self.value if self.kind == "at most" else value >= self.value


def at_most(value: float) -> Bound:
    return Bound(kind="at most", value=value)


def at_least(value: float) -> Bound:
    return Bound(kind="at least", value=value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One comparison: two sides in one unit, and what comes of them.

    `against` says what the yardstick is. The `value` is ours / yardstick for a ratio, yardstick / ours for a speed-up,
    ours - yardstick for a difference, ours for itself. Without `promised` it is there to be known. A `small` figure was
    measured with fewer users or answers than the promise is about, so that it says nothing about it.
    """

    what: str
    against: str
    ours: float
    yardstick: float
    unit: str
    comparison: Comparison = "ratio"
    promised: Bound | None = None
    small: bool = False

    @property
    def value(self) -> float:
        match self.comparison:
            case "ratio":
                return self.ours / self.yardstick
            case "speed-up":
                return self.yardstick / self.ours
            case "difference":
                return self.ours - self.yardstick
            case "itself":
                return self.ours

    @property
    def is_met(self) -> bool | None:
        return None if self.promised is None else self.promised.is_met(self.value)

    def facts(self) -> dict[str, Any]:
        """Return what is kept as JSON: both sides and the value, rounded no further than they can be repeated."""
        return {
            "what": self.what,
            "against": self.against,
            "unit": self.unit,
            "ours": _rounded(self.ours),
            "yardstick": _rounded(self.yardstick),
            "comparison": self.comparison,
            "value": _rounded(self.value),
            "promised": None if self.promised is None else str(self.promised),
            "met": None if self.small else self.is_met,
        }

    def cells(self) -> tuple[str, ...]:
        verdict = {None: "", True: "pass", False: "miss" if self.small else "MISS"}[self.is_met]
        return (
            self.what,
            _quantity(self.ours, self.unit),
            _quantity(self.yardstick, self.unit),
            _result(self),
            str(self.promised or ""),
            f"({verdict})" if self.small and verdict else verdict,
            self.against,
        )


_HEAD = ("", "ours", "yardstick", "result", "bar", "", "the yardstick is")
_RIGHT = (1, 2, 3)


def table(groups: Sequence[tuple[str, Sequence[Figure]]]) -> str:
    """Return all groups as one plain table: their titles, and a line per figure."""
    rows = [figure.cells() for _, figures in groups for figure in figures]
    widths = [max(len(cells[column]) for cells in (_HEAD, *rows)) for column in range(len(_HEAD))]
    lines = [_line(_HEAD, widths)]
    for title, figures in groups:
        lines += ["", title, *(_line(figure.cells(), widths) for figure in figures)]
    return "\n".join(lines)


def summary(figures: Sequence[Figure]) -> str:
    """Return how many promises are met; of what was measured in small it says that there are none."""
    promised = [figure for figure in figures if figure.promised is not None and not figure.small]
    missed = [figure.what for figure in promised if not figure.is_met]
    said = f"{len(promised) - len(missed)} of {len(promised)} promises met"
    lines = [f"{said}; missed: {', '.join(missed)}." if missed else f"{said}."]
    if any(figure.promised is not None and figure.small for figure in figures):
        lines.append("In brackets: measured in small. No promise holds for it; its bar is that of the full size.")
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        f"{cell:>{width}}" if column in _RIGHT else f"{cell:<{width}}"
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return ("  " + "  ".join(padded)).rstrip()


def _result(figure: Figure) -> str:
    match figure.comparison:
        case "ratio":
            return f"{figure.value:.2f}"
        case "speed-up":
            return f"{figure.value:.1f} times"
        case "difference":
            return f"{figure.value:+.1f} {figure.unit}"
        case "itself":
            return _quantity(figure.value, figure.unit)


def _quantity(value: float, unit: str) -> str:
    return f"{value:,.{_DECIMALS.get(unit, 0)}f} {unit}"


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
