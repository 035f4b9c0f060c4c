"""Charts of an access review, as SVG that stands in a page: bars, drawn without any script, in the page's colours."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

_WIDTH = 340  # narrow, so that the letters stay legible on a narrow screen
_BAR, _STEP, _BASE = 10, 34, 14
_LONGEST = 30


class Bar(NamedTuple):
    """One bar: what, how many (None: unknown), and what is said behind the number."""

    label: str
    number: int | None
    note: str = ""


class Figure(NamedTuple):
    """A chart: bars side by side, or, where they make a `whole`, one on the other."""

    title: str
    shown: Sequence[Bar]
    whole: bool = False

    def drawn(self) -> str:
        """Return it as HTML."""
        return stacked(self.title, self.shown) if self.whole else bars(self.title, self.shown)


def bars(title: str, shown: Sequence[Bar]) -> str:
    """Return a chart of bars that begin at zero; what is unknown has no bar, and says so."""
    most = max((bar.number or 0 for bar in shown), default=0) or 1
    height = _STEP * len(shown) + 6
    drawn = [
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(_said(title, shown), quote=True)}">',
        *(_drawn(at, bar, most) for at, bar in enumerate(shown)),
        "</svg>",
    ]
    return f"<figure><figcaption>{escape(title)}</figcaption>{''.join(drawn)}</figure>"


def stacked(title: str, parts: Sequence[Bar]) -> str:
    """Return one bar of several parts that make a whole, with a legend."""
    whole = sum(part.number or 0 for part in parts) or 1
    left, pieces, legend = 0.0, [], []
    for at, part in enumerate(parts):
        wide = (part.number or 0) * _WIDTH / whole
        pieces.append(f'<rect class="part{at}" x="{left:.1f}" y="2" width="{wide:.1f}" height="18"/>')
        share = 100 * (part.number or 0) / whole
        legend.append(
            f'<li><span class="key part{at}"></span>{escape(part.label)}: <b>{part.number or 0:,}</b> ({share:.0f} %)</li>'
        )
        left += wide
    label = escape(_said(title, parts), quote=True)
    svg = f'<svg viewBox="0 0 {_WIDTH} 22" role="img" aria-label="{label}">{"".join(pieces)}</svg>'
    return f'<figure><figcaption>{escape(title)}</figcaption>{svg}<ul class="legend">{"".join(legend)}</ul></figure>'


def _drawn(at: int, bar: Bar, most: int) -> str:
    """Return a line with the label and the number, and below it the bar."""
    base = at * _STEP + _BASE
    long = 0 if bar.number is None else max(bar.number * _WIDTH / most, 1 if bar.number else 0)
    number = "unknown" if bar.number is None else f"{bar.number:,}"
    note = f" ({bar.note})" if bar.note and bar.number is not None else ""
    label = bar.label if len(bar.label) <= _LONGEST else f"{bar.label[: _LONGEST - 1]}…"
    return (
        f'<text x="0" y="{base}">{escape(label)}<title>{escape(bar.label)}</title></text>'
        f'<text x="{_WIDTH}" y="{base}" text-anchor="end">{number}{escape(note)}</text>'
        f'<rect class="length" x="0" y="{base + 5}" width="{long:.1f}" height="{_BAR}"/>'
    )


def _said(title: str, shown: Sequence[Bar]) -> str:
    numbers = (f"{bar.label} {'unknown' if bar.number is None else bar.number}" for bar in shown)
    return f"{title}: {', '.join(numbers)}"
