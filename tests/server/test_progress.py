"""The number of a request's progress only grows, whatever its stages count."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.server.progress import Progressing

Told = tuple[float, float | None, str]


async def heard(*reports: tuple[str, int, int | None]) -> list[Told]:
    found: list[Told] = []

    async def send(progress: float, total: float | None, message: str) -> None:
        found.append((progress, total, message))

    progressing = Progressing(send)
    for report in reports:
        await progressing.report(*report)
    return found


async def test_stages_count_on_from_each_other() -> None:
    assert await heard(
        ("users", 200, 20_000), ("users", 18_872, 20_000), ("memberships", 2, 18), ("merge", 0, None)
    ) == [
        (200, 20_000, "users: 200 of about 20,000"),
        (18_872, 20_000, "users: 18,872 of about 20,000"),
        (18_875, 18_891, "memberships: 2 of about 18"),
        (18_876, None, "merge"),
    ]


async def test_what_has_not_grown_is_not_told_again() -> None:
    assert len(await heard(("users", 200, None), ("users", 200, None), ("users", 201, None))) == 2


async def test_a_stage_that_begins_anew_counts_on() -> None:
    told = await heard(("users", 500, 600), ("users", 20, 600), ("users", 600, 600))
    assert [(progress, total) for progress, total, _ in told] == [(500, 600), (521, 1_101), (1_101, 1_101)]


async def test_an_estimate_that_was_too_low_is_no_total() -> None:
    assert (await heard(("users", 700, 600)))[0][:2] == (700, None)


@given(
    st.lists(
        st.tuples(st.sampled_from(["users", "groups"]), st.integers(0, 50), st.none() | st.integers(0, 50)),
        max_size=30,
    )
)
async def test_the_number_only_grows_and_never_passes_its_total(reports: list[tuple[str, int, int | None]]) -> None:
    told = await heard(*reports)
    assert all(before[0] < after[0] for before, after in pairwise(told))
    assert all(total is None or total >= progress for progress, total, _ in told)
