"""Charts as SVG that is drawn here: no script, no style of its own, a title and a description for who does not see it.

pygal lays them out. Colours, lines and letters come from `pages.css`, which knows light and dark: a series has the
class `color-0`, `color-1`, …. The numbers stand in a table beside each chart (`charts.html`).
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, tostring

from markupsafe import Markup

from pingone_mcp.directory.text.harmless import harmless

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pingone_mcp.reports.audit.charts import Figure

_WIDTH, _HEIGHT = 720, 220
_STEPS = 5
_LABELS = 8  # of many bars every so manieth is named
_DROPPED = frozenset({"style", "script", "defs", "title", "desc"})
_EMPTY = ("overlay", "titles")
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What one colour stands for, and its numbers, one for each label of the chart."""

    name: str
    values: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart, and all that it shows: `labels` go from left to right; `what` says what they are ("Day")."""

    title: str
    description: str
    what: str
    labels: Sequence[str]
    series: Sequence[Series]
    svg: Markup

    @property
    def rows(self) -> Iterator[tuple[str, Sequence[int]]]:
        """The table behind it, label by label."""
        for label, *values in zip(self.labels, *(one.values for one in self.series), strict=True):
            yield str(label), [int(value) for value in values]


def _pygal() -> Any:
    """Load pygal, and keep its hand off all other imports: it looks for maps in a way that Python does not know now."""
    import pygal  # noqa: PLC0415 - start-up: it takes a twentieth of a second to load, and few pages have a chart

    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != pygal.__name__]
    return pygal


def stacked_bars(*, title: str, description: str, what: str, labels: Sequence[str], series: Sequence[Series]) -> Chart:
    """Draw a bar for each label, in which the series stand one on the other."""
    pygal = _pygal()
    chart = pygal.StackedBar(
        css=[],
        js=[],
        disable_xml_declaration=True,
        height=_HEIGHT,
        include_x_axis=True,
        margin=8,
        no_prefix=True,
        print_values=False,
        show_legend=False,
        show_minor_x_labels=False,
        width=_WIDTH,
        truncate_label=-1,
        value_formatter=lambda value: f"{value:,.0f}",
        x_labels_major_every=max(1, -(-len(labels) // _LABELS)),
    )
    chart.x_labels = [harmless(label) for label in labels]
    chart.y_labels = _steps(max((sum(bar) for bar in zip(*(one.values for one in series), strict=True)), default=0))
    for one in series:
        chart.add(harmless(one.name), list(one.values))
    drawn = chart.render_tree()
    svg = _plain(drawn, harmless(title), harmless(description))
    return Chart(title=title, description=description, what=what, labels=labels, series=series, svg=svg)


def bar_charts(figures: Iterable[Figure]) -> list[Markup]:
    """Draw charts of bars with their numbers beside them, which need no table: as the file of a review has them."""
    return [Markup(figure.drawn()) for figure in figures]  # noqa: S704 - whatever stands in it was escaped as it was written


def _steps(most: int) -> list[int]:
    """Return whole numbers from 0 to at least `most` in some round steps."""
    step = next(size * 10**power for power in range(10) for size in (1, 2, 5) if size * 10**power * _STEPS >= most)
    return list(range(0, max(most, 1) + step, step))


def _plain(drawn: Any, title: str, description: str) -> Markup:
    """Return a drawing without all that a strict policy refuses, named for who does not see it."""
    _strip(drawn)
    number = next(_numbers)
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        named = Element(tag, {"id": f"chart-{number}-{tag}"})
        named.text = text
        drawn.insert(place, named)
    drawn.attrib.pop("id", None)
    drawn.set("class", "chart")
    drawn.set("role", "img")
    drawn.set("aria-labelledby", f"chart-{number}-title chart-{number}-desc")
    # Whatever stands in it was escaped as it was written.
    return Markup(tostring(drawn, encoding="unicode"))  # noqa: S704 - see above


def _strip(element: Any) -> None:
    for name in [one for one in element.attrib if one == "style" or one.startswith("on") or "href" in one]:
        del element.attrib[name]
    for child in list(element):
        # A comment has no name; the last two hold what a script of pygal would show.
        if not isinstance(child.tag, str) or child.tag in _DROPPED or child.get("class", "").endswith(_EMPTY):
            element.remove(child)
        else:
            _strip(child)
