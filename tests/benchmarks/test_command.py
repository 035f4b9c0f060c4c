"""`python -m benchmarks`: which groups there are, what it refuses, what it keeps and draws."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks.groups import GROUPS, USUAL
from benchmarks.table import results
from benchmarks.table.figures import Figure, at_most
from benchmarks.table.group import Extent, Group, Measured
from benchmarks.table.pictures import PICTURES
from benchmarks.table.results import Point


@pytest.fixture
def extents(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Extent]:
    """Two groups that measure nothing, a long one and another; results and pictures go to `tmp_path`."""
    asked: list[Extent] = []

    def measured(extent: Extent) -> Measured:
        asked.append(extent)
        figure = Figure(
            what="a", against="b", ours=1, yardstick=2, unit="s", promised=at_most(1), small=extent == "fast"
        )
        points = [Point(panel=panel.title, curve="ours", users=10, value=1) for panel in PICTURES["growth"].panels]
        return Measured(figures=[figure], points=points, notes=["One thing was not measured."])

    groups = {"walk": Group(title="Walk", measure=measured)}
    monkeypatch.setattr(command, "GROUPS", groups | {"growth": Group(title="Long", measure=measured, long=True)})
    monkeypatch.setattr(command, "USUAL", tuple(groups))
    monkeypatch.setattr(results, "keep", lambda kept: results.LATEST.write_text(str(sorted(kept))))
    monkeypatch.setattr(results, "LATEST", tmp_path / "latest.json")
    monkeypatch.setattr(results, "read", lambda: {"growth": {"points": []}})
    return asked


def test_every_group_can_be_named_and_another_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["walking"])
    shown = capsys.readouterr().err
    assert all(name in shown for name in GROUPS)


def test_the_long_group_is_measured_only_where_it_is_named() -> None:
    assert "growth" in GROUPS
    assert "growth" not in USUAL
    assert set(PICTURES) <= set(GROUPS)


def test_fast_measures_the_same_groups_and_keeps_nothing(
    extents: list[Extent], capsys: pytest.CaptureFixture[str]
) -> None:
    command.main(["--fast"])
    shown = capsys.readouterr().out
    assert extents == ["fast"]
    assert not results.LATEST.exists()
    assert shown.startswith("Fast: fewer users and runs, to try out the measuring. Nothing is saved.")
    assert "(pass)" in shown
    assert "No promise holds for it" in shown


def test_in_full_it_keeps_what_it_found_and_says_what_is_lacking(
    extents: list[Extent], capsys: pytest.CaptureFixture[str]
) -> None:
    command.main([])
    shown = capsys.readouterr().out
    assert extents == ["full"]
    assert results.LATEST.read_text() == "['walk']"
    assert "1 of 1 promises met.\nOne thing was not measured.\n" in shown


def test_to_draw_measures_nothing(
    extents: list[Extent], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = [{"panel": panel.title, "curve": "ours", "users": 10, "value": 1.0} for panel in PICTURES["growth"].panels]
    monkeypatch.setattr(results, "read", lambda: {"growth": {"points": points}, "curves": {"points": []}})
    monkeypatch.setattr(command, "DOCS", tmp_path)
    command.main(["--plot"])
    assert extents == []
    assert [path.name for path in tmp_path.iterdir()] == [PICTURES["growth"].file]
    assert "Drawn" in capsys.readouterr().out
