"""What may go wrong, alone and together: faults and options as hypothesis draws them."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

from pingone_mcp.sandbox.faults import KINDS, MUTATIONS, Fault, FaultKind
from pingone_mcp.sandbox.options import Options

# Lies that nobody can see through, each in its own test: they are no part of combinations.
LIES: frozenset[FaultKind] = frozenset({"wrong_count", "short_list"})
# A list that ends too early together with its count is seen through only where something else counts too: in a sync.
TRIED: tuple[FaultKind, ...] = tuple(kind for kind in KINDS if kind != "short_list")

PATHS = (None, "/users", "/users.*cursor=", "/groups", "/populations", "/activities", "/environments/[^/]*$", "cursor=")
SECONDS = (0.0, 1.0, 3.0, 12.0, 45.0, 7_200.0)


def faults(paths: tuple[str | None, ...] = PATHS, kinds: tuple[FaultKind, ...] = TRIED) -> st.SearchStrategy[Fault]:
    """Draw a fault: once at the n-th request, or at every n-th, some times or always."""
    when = st.one_of(
        st.fixed_dictionaries({"nth": st.integers(1, 9)}),
        st.fixed_dictionaries({"every": st.integers(1, 5), "times": st.sampled_from([1, 2, 3, 6, None])}),
    )
    what = st.fixed_dictionaries(
        {
            "kind": st.sampled_from(kinds),
            "path": st.sampled_from(paths),
            "seconds": st.sampled_from(SECONDS),
            "amount": st.sampled_from([1, 2, 5]),
        }
    )
    return st.builds(lambda given, due: Fault(**given, **due), what, when)


def plans(
    paths: tuple[str | None, ...] = PATHS, kinds: tuple[FaultKind, ...] = TRIED
) -> st.SearchStrategy[list[Fault]]:
    """Draw some faults to happen together, with at least one among them."""
    return st.lists(faults(paths, kinds), min_size=1, max_size=4)


def options(**more: st.SearchStrategy[object]) -> st.SearchStrategy[Options]:
    """Draw a PingOne: the doubts that change how lists are read."""
    drawn: dict[str, st.SearchStrategy[object]] = {
        "max_page": st.sampled_from([3, 7, 20, 200]),
        "cursor_lifetime": st.sampled_from([None, None, 5.0]),
        "cursor_bound_to_filter": st.booleans(),
        "cursor_carries_filter": st.booleans(),
        "deleted_anchor_refuses_cursor": st.booleans(),
        "inaccurate_updated_at_count": st.booleans(),
        "embedded_password": st.booleans(),
        "event_lag": st.sampled_from([0.0, 0.0, 60.0]),
        "token_lifetime": st.sampled_from([3_600, 30]),
        "requests_per_second": st.sampled_from([None, None, 4.0]),
        "latency": st.sampled_from([0.0, 0.0, 0.3]),
        **more,
    }
    return st.builds(Options, **drawn)


@dataclass(frozen=True)
class Alone:
    """One kind of fault at its most telling: somewhere in the middle, now and then, or always."""

    kind: FaultKind
    name: str
    when: dict[str, int | None] = field(default_factory=dict[str, int | None])
    seconds: float = 3.0

    def fault(self, path: str | None = None) -> Fault:
        return Fault(self.kind, path=path, amount=2, seconds=self.seconds, **self.when)  # type: ignore[arg-type]  # a table of arguments


# A directory that grows as fast as it is read has no end.
OFTEN = {kind: {"every": 3, "times": 12 if kind in MUTATIONS else None} for kind in TRIED}
ALWAYS = {kind: {"every": 1, "times": 30 if kind in MUTATIONS else None} for kind in TRIED}
ALONE = [Alone(kind, f"{kind}-often", OFTEN[kind]) for kind in TRIED]
# Longer than one request may wait.
UNENDING = [Alone(kind, f"{kind}-always", ALWAYS[kind], seconds=45.0) for kind in TRIED]
CHANGES = tuple(sorted(MUTATIONS))
# What costs time and nothing else when it passes: everything is read all the same.
PASSING: frozenset[FaultKind] = MUTATIONS | {
    "rate_limited_seconds",
    "rate_limited_date",
    "unavailable_503",
    "bad_gateway_html",
    "server_error",
    "dropped_connection",
    "truncated_body",
    "slow",
    "false_length",
    "cookie_flood",
    "short_page",
    "wrong_count",
    "missing_count",
}
