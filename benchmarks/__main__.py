"""`make bench`: every figure with its yardstick, measured in one run, printed as a table and kept as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio

from benchmarks import sizes, startup

RESULTS = Path(__file__).with_name("results") / "latest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One comparison: what was measured, against what, and the ratio that is promised at most."""

    what: str
    ours: str
    yardstick: str
    ratio: float
    promised: float


def figures() -> list[Figure]:
    ours, bare = startup.measure()
    size = anyio.run(sizes.measure)
    rows = f"{size.rows:,} characters"
    return [
        Figure(
            what="spawn to tools/list, against a bare one-tool MCPServer",
            ours=f"{ours:.3f} s",
            yardstick=f"{bare:.3f} s",
            ratio=ours / bare,
            promised=1.15,
        ),
        Figure(
            what="100 default rows, against the same users whole",
            ours=rows,
            yardstick=f"{size.whole:,} characters",
            ratio=size.rows / size.whole,
            promised=0.60,
        ),
        Figure(
            what="100 default rows, against PingOne's own page",
            ours=rows,
            yardstick=f"{size.native:,} characters",
            ratio=size.rows / size.native,
            promised=0.15,
        ),
    ]


def main() -> None:
    found = figures()
    width = max(len(figure.what) for figure in found)
    print(f"{'what':<{width}}  {'ours':>18}  {'yardstick':>18}  {'ratio':>6}  {'promised':>8}")
    for figure in found:
        print(
            f"{figure.what:<{width}}  {figure.ours:>18}  {figure.yardstick:>18}  {figure.ratio:>6.2f}  "
            f"≤ {figure.promised:>6.2f}"
        )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([asdict(figure) for figure in found], indent=1) + "\n", encoding="utf-8")
    print(f"\nSaved to {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")


if __name__ == "__main__":
    main()
