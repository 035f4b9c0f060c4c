"""Charts of an access review, as SVG that stands in a page: bars, drawn without any script, in the page's colours."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

_WIDTH, _LABELS, _NUMBERS = 640, 270, 120
_BAR, _STEP = 16, 28
_LONGEST = 40


class Bar(NamedTuple):
    """One bar: what, how many (None: unknown), and what is said behind the number."""

    label: str
    number: int | None
    note: str = ""


def bars(title: str, shown: Sequence[Bar]) -> str:
    """Return a chart of bars that begin at zero; what is unknown has no bar, and says so."""
    most = max((bar.number or 0 for bar in shown), default=0) or 1
    room = _WIDTH - _LABELS - _NUMBERS
    height = _STEP * len(shown) + 6
    drawn = [
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(_said(title, shown), quote=True)}">',
        *(_drawn(at, bar, most, room) for at, bar in enumerate(shown)),
        "</svg>",
    ]
    return f"<figure><figcaption>{escape(title)}</figcaption>{''.join(drawn)}</figure>"


def stacked(title: str, parts: Sequence[Bar]) -> str:
    """Return one bar of several parts that make a whole, with a legend."""
    whole = sum(part.number or 0 for part in parts) or 1
    left, pieces, legend = 0.0, [], []
    for at, part in enumerate(parts):
        wide = (part.number or 0) * _WIDTH / whole
        pieces.append(f'<rect class="part{at}" x="{left:.1f}" y="2" width="{wide:.1f}" height="24"/>')
        share = 100 * (part.number or 0) / whole
        legend.append(
            f'<li><span class="key part{at}"></span>{escape(part.label)}: <b>{part.number or 0:,}</b> ({share:.0f} %)</li>'
        )
        left += wide
    label = escape(_said(title, parts), quote=True)
    svg = f'<svg viewBox="0 0 {_WIDTH} 28" role="img" aria-label="{label}">{"".join(pieces)}</svg>'
    return f'<figure><figcaption>{escape(title)}</figcaption>{svg}<ul class="legend">{"".join(legend)}</ul></figure>'


def _drawn(at: int, bar: Bar, most: int, room: int) -> str:
    top = at * _STEP + 4
    base = top + _BAR - 3
    long = 0 if bar.number is None else max(bar.number * room / most, 1 if bar.number else 0)
    number = "unknown" if bar.number is None else f"{bar.number:,}"
    note = f" ({bar.note})" if bar.note and bar.number is not None else ""
    label = bar.label if len(bar.label) <= _LONGEST else f"{bar.label[: _LONGEST - 1]}…"
    return (
        f'<text x="{_LABELS - 8}" y="{base}" text-anchor="end">{escape(label)}<title>{escape(bar.label)}</title></text>'
        f'<rect class="bar" x="{_LABELS}" y="{top}" width="{long:.1f}" height="{_BAR}"/>'
        f'<text x="{_LABELS + long + 6:.1f}" y="{base}">{number}{escape(note)}</text>'
    )


def _said(title: str, shown: Sequence[Bar]) -> str:
    numbers = (f"{bar.label} {'unknown' if bar.number is None else bar.number}" for bar in shown)
    return f"{title}: {', '.join(numbers)}"
