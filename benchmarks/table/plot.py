"""Curves as one SVG for the README: values over users, readable on light and on dark ground."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.table.results import Point

_LEFT, _WIDTH, _GAP = 70, 320, 90
_TOP, _BOTTOM, _LINE = 72, 280, 22
# GitHub shows an SVG as an image, in which the reader's colour scheme is known.
_LIGHT = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#9a6700")
_DARK = ("#4493f8", "#f0883e", "#3fb950", "#ab7df8", "#d29922")
_DASHES = ("none", "7 4", "2 3", "9 3 2 3", "1 4")
_STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
  .title { font-size: 17px; font-weight: 600 }
  .small { font-size: 12px; fill: #59636e }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  .axis { stroke: #59636e; stroke-width: 1 }
  .line { fill: none; stroke-width: 2.5 }
"""
_DARK_STYLE = """
    text { fill: #f0f6fc }
    .small { fill: #9198a1 }
    .grid { stroke: #3d444d }
    .axis { stroke: #9198a1 }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """The points that name it, over users; both axes are logarithmic."""

    title: str
    axis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Panels beside one another, in a file of `docs/`."""

    file: str
    title: str
    panels: tuple[Panel, ...]


def plot(picture: Picture, points: Sequence[Point]) -> str:
    """Return the SVG of these points, at least one for each panel."""
    of_panels = [[point for point in points if point.panel == panel.title] for panel in picture.panels]
    width = _LEFT + len(of_panels) * (_WIDTH + _GAP) - _GAP + 30
    height = _BOTTOM + 56 + _LINE * max(len(_curves(of_panel)) for of_panel in of_panels)
    title = escape(picture.title)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="title">',
        f'<title id="title">{title}</title>',
        f"<style>{_style()}</style>",
        f'<text class="title" x="16" y="28">{title}</text>',
    ]
    for place, (panel, of_panel) in enumerate(zip(picture.panels, of_panels, strict=True)):
        parts += _panel(panel, of_panel, _LEFT + place * (_WIDTH + _GAP))
    return "\n".join([*parts, "</svg>", ""])


def _style() -> str:
    light = "".join(
        f"  .curve{number} {{ stroke: {colour}; stroke-dasharray: {dash} }} .dot{number} {{ fill: {colour} }}\n"
        for number, (colour, dash) in enumerate(zip(_LIGHT, _DASHES, strict=True))
    )
    dark = "".join(
        f"    .curve{number} {{ stroke: {colour} }} .dot{number} {{ fill: {colour} }}\n"
        for number, colour in enumerate(_DARK)
    )
    return f"{_STYLE}{light}  @media (prefers-color-scheme: dark) {{{_DARK_STYLE}{dark}  }}\n"


def _curves(points: Sequence[Point]) -> list[str]:
    """Return the names of the curves, in the order in which they come."""
    return list(dict.fromkeys(point.curve for point in points))


def _panel(panel: Panel, points: Sequence[Point], left: float) -> Iterator[str]:
    right = left + _WIDTH
    across = Scale.over([point.users for point in points], left, right)
    up = Scale.over([point.value for point in points], _BOTTOM, _TOP)
    yield f'<text x="{left:g}" y="{_TOP - 12}">{escape(panel.title)} ({escape(panel.axis)})</text>'
    for tick in up.ticks():
        y = up.place(tick)
        yield f'<line class="grid" x1="{left:g}" y1="{y:.1f}" x2="{right:g}" y2="{y:.1f}"/>'
        yield f'<text class="small" x="{left - 8:g}" y="{y + 4:.1f}" text-anchor="end">{tick:,g}</text>'
    for tick in across.ticks():
        x = across.place(tick)
        yield f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_BOTTOM}"/>'
        yield f'<text class="small" x="{x:.1f}" y="{_BOTTOM + 18}" text-anchor="middle">{int(tick):,}</text>'
    yield f'<line class="axis" x1="{left:g}" y1="{_BOTTOM}" x2="{right:g}" y2="{_BOTTOM}"/>'
    yield f'<line class="axis" x1="{left:g}" y1="{_TOP}" x2="{left:g}" y2="{_BOTTOM}"/>'
    middle = (left + right) / 2
    yield f'<text class="small" x="{middle:g}" y="{_BOTTOM + 40}" text-anchor="middle">users (both axes logarithmic)</text>'
    for number, curve in enumerate(_curves(points)):
        yield from _curve(number, curve, [point for point in points if point.curve == curve], across, up)


def _curve(number: int, name: str, points: Sequence[Point], across: Scale, up: Scale) -> Iterator[str]:
    """Draw one curve, and its line of the legend below the panel."""
    places = [(across.place(point.users), up.place(point.value)) for point in sorted(points, key=lambda one: one.users)]
    yield f'<polyline class="line curve{number}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>'
    for x, y in places:
        yield f'<circle class="dot{number}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    left, base = across.start, _BOTTOM + 66 + number * _LINE
    yield f'<line class="line curve{number}" x1="{left:g}" y1="{base - 4}" x2="{left + 32:g}" y2="{base - 4}"/>'
    yield f'<circle class="dot{number}" cx="{left + 16:g}" cy="{base - 4}" r="4"/>'
    yield f'<text x="{left + 40:g}" y="{base}">{escape(name)}</text>'


@dataclass(frozen=True, slots=True)
class Scale:
    """A logarithmic axis from the power of ten at or below the least value to the one at or above the greatest."""

    first: int
    last: int
    start: float
    end: float

    @staticmethod
    def over(values: Sequence[float], start: float, end: float) -> Scale:
        first = math.floor(math.log10(min(values)))
        return Scale(first, max(first + 1, math.ceil(math.log10(max(values)))), start, end)

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self.first, self.last + 1)]

    def place(self, value: float) -> float:
        share = (math.log10(value) - self.first) / (self.last - self.first)
        return self.start + share * (self.end - self.start)
