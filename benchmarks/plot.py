"""The growth curves as one SVG for the README: seconds and memory over users, readable on light and on dark ground."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.growth import LATENCY, Point
from benchmarks.trip import Client

WIDTH, HEIGHT = 860, 360
_TOP, _BOTTOM = 92, 300
# GitHub shows an SVG as an image, in which the reader's colour scheme is known.
_STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
  .title { font-size: 17px; font-weight: 600 }
  .small { font-size: 12px; fill: #59636e }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  .axis { stroke: #59636e; stroke-width: 1 }
  .line { fill: none; stroke-width: 2.5 }
  .ours { stroke: #0969da } .ours-dot { fill: #0969da }
  .naive { stroke: #bc4c00; stroke-dasharray: 7 4 } .naive-dot { fill: #bc4c00 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .small { fill: #9198a1 }
    .grid { stroke: #3d444d }
    .axis { stroke: #9198a1 }
    .ours { stroke: #4493f8 } .ours-dot { fill: #4493f8 }
    .naive { stroke: #f0883e } .naive-dot { fill: #f0883e }
  }
"""
_NAMES: dict[Client, str] = {"ours": "pingone-mcp", "naive": "one page after the other"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A value over users, both axes logarithmic; it lies between `left` and `right` in the picture."""

    title: str
    axis: str
    value: Callable[[Point], float]
    left: float
    right: float


_PANELS = (
    Panel(title="Time to read all users", axis="seconds", value=lambda point: point.seconds, left=70, right=400),
    Panel(title="Peak memory of the client", axis="MiB", value=lambda point: point.peak, left=490, right=820),
)


def plot(points: Sequence[Point]) -> str:
    """Return the SVG of these points, at least one of each client that is shown."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="title">',
        '<title id="title">Reading a whole directory: time and memory over the number of users</title>',
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="16" y="28">Reading a whole directory, {LATENCY * 1000:g} ms per answer</text>',
        *_legend(16, 54),
    ]
    for panel in _PANELS:
        parts += _panel(panel, points)
    return "\n".join([*parts, "</svg>", ""])


def _legend(x: float, y: float) -> list[str]:
    parts: list[str] = []
    for client, name in _NAMES.items():
        parts += [
            f'<line class="line {client}" x1="{x:g}" y1="{y - 4:g}" x2="{x + 32:g}" y2="{y - 4:g}"/>',
            f'<circle class="{client}-dot" cx="{x + 16:g}" cy="{y - 4:g}" r="4"/>',
            f'<text x="{x + 40:g}" y="{y:g}">{name}</text>',
        ]
        x += 150
    return parts


def _panel(panel: Panel, points: Sequence[Point]) -> list[str]:
    across = _Scale.over([point.users for point in points], panel.left, panel.right)
    up = _Scale.over([panel.value(point) for point in points], _BOTTOM, _TOP)
    middle = (panel.left + panel.right) / 2
    parts = [f'<text x="{panel.left:g}" y="{_TOP - 12}">{panel.title} ({panel.axis})</text>']
    for tick in up.ticks():
        y = up.place(tick)
        parts += [
            f'<line class="grid" x1="{panel.left:g}" y1="{y:.1f}" x2="{panel.right:g}" y2="{y:.1f}"/>',
            f'<text class="small" x="{panel.left - 8:g}" y="{y + 4:.1f}" text-anchor="end">{tick:,g}</text>',
        ]
    for tick in across.ticks():
        x = across.place(tick)
        parts += [
            f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_BOTTOM}"/>',
            f'<text class="small" x="{x:.1f}" y="{_BOTTOM + 18}" text-anchor="middle">{int(tick):,}</text>',
        ]
    parts += [
        f'<line class="axis" x1="{panel.left:g}" y1="{_BOTTOM}" x2="{panel.right:g}" y2="{_BOTTOM}"/>',
        f'<line class="axis" x1="{panel.left:g}" y1="{_TOP}" x2="{panel.left:g}" y2="{_BOTTOM}"/>',
        f'<text class="small" x="{middle:g}" y="{_BOTTOM + 40}" text-anchor="middle">users (both axes logarithmic)</text>',
    ]
    for client in _NAMES:
        curve = sorted((point for point in points if point.client == client), key=lambda point: point.users)
        places = [(across.place(point.users), up.place(panel.value(point))) for point in curve]
        parts.append(f'<polyline class="line {client}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>')
        parts += [f'<circle class="{client}-dot" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in places]
    return parts


@dataclass(frozen=True, slots=True)
class _Scale:
    """A logarithmic axis from the power of ten at or below the least value to the one at or above the greatest."""

    first: int
    last: int
    start: float
    end: float

    @staticmethod
    def over(values: Sequence[float], start: float, end: float) -> _Scale:
        first = math.floor(math.log10(min(values)))
        return _Scale(first, max(first + 1, math.ceil(math.log10(max(values)))), start, end)

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self.first, self.last + 1)]

    def place(self, value: float) -> float:
        share = (math.log10(value) - self.first) / (self.last - self.first)
        return self.start + share * (self.end - self.start)
