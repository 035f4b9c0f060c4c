"""What may go wrong between a client and PingOne, as values: which request, which fault."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar, get_args

FaultKind: TypeAlias = Literal[
    "rate_limited_seconds",
    "rate_limited_date",
    "unavailable_503",
    "bad_gateway_html",
    "server_error",
    "bad_request",
    "forbidden",
    "not_found",
    "truncated_body",
    "slow",
    "drip",
    "false_length",
    "dropped_connection",
    "filter_refused",
    "cursor_refused",
    "token_revoked",
    "short_page",
    "short_list",
    "lost_next",
    "wrong_count",
    "missing_count",
    "user_deleted",
    "user_moved",
    "user_created",
    "foreign_next",
    "foreign_path_next",
    "repeated_next",
    "gzip_bomb",
    "huge_array",
    "crowded_page",
    "cookie_flood",
    "wrong_date",
]
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)

ANSWERED: frozenset[FaultKind] = frozenset(
    {
        "rate_limited_seconds",
        "rate_limited_date",
        "unavailable_503",
        "bad_gateway_html",
        "server_error",
        "bad_request",
        "forbidden",
        "not_found",
        "dropped_connection",
        "filter_refused",
        "cursor_refused",
    }
)
"""The request is not carried out: the fault is the answer."""

MUTATIONS: frozenset[FaultKind] = frozenset({"user_deleted", "user_moved", "user_created"})
"""Somebody else changes the directory just after the page was made."""


CARRIED: dict[FaultKind, str] = {"filter_refused": "filter=", "cursor_refused": "cursor="}
"""What a request must carry so that there is something to refuse."""


@dataclass(frozen=True)
class Fault:
    """One fault and the requests it befalls.

    Without `path` it befalls API requests (`/v1/…`); `path` is a regular expression searched in path and query, and
    may also name the token endpoint. Of the matching requests since the fault was added, counted from 1, the `nth`
    gets it, or every `every`-th, or (without either) each; at most `times` in all (None: no end).
    """

    kind: FaultKind
    nth: int | None = None
    every: int | None = None
    times: int | None = 1
    method: str | None = None
    path: str | None = None
    seconds: float = 1.0
    """`Retry-After` of the 429s and the 503, how long `slow` takes, or each piece of a `drip`, or by how much a
    `wrong_date` is ahead."""
    amount: int = 1
    """Rows of a `short_page`; after how many rows of the page a `short_list` ends, its count too (0: none); what
    `wrong_count` adds to the count, and `false_length` to the bytes promised; bytes in each piece of a `drip`."""
    user_id: str | None = None
    """Who is deleted or moved. None: the last user of the page just made (deleted), the first (moved)."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no such fault: {self.kind}; there are {', '.join(KINDS)}")

    def concerns(self, method: str, target: str) -> bool:
        """Say whether a request is one of those this fault counts."""
        if self.method is not None and self.method.upper() != method:
            return False
        if CARRIED.get(self.kind, "") not in target:
            return False
        return target.startswith("/v1/") if self.path is None else re.search(self.path, target) is not None

    def due(self, seen: int) -> bool:
        """Say whether the `seen`-th matching request gets it."""
        return is_due(seen, self.nth, self.every)


def is_due(seen: int, nth: int | None, every: int | None) -> bool:
    """Say whether the `seen`-th (from 1) is the `nth`, or one of every `every`, or (without either) any."""
    if nth is not None:
        return seen == nth
    return every is None or seen % every == 0


class Planned(Protocol):
    """A fault as a plan needs it."""

    @property
    def times(self) -> int | None: ...

    def concerns(self, method: str, target: str) -> bool: ...

    def due(self, seen: int) -> bool: ...


P = TypeVar("P", bound=Planned)


class Plan(Generic[P]):
    """Which faults are still to come, of one class."""

    def __init__(self, of: Callable[..., P]) -> None:
        self.of = of
        self._plan: list[P] = []
        self._seen: list[int] = []
        self._happened: list[int] = []

    @property
    def fields(self) -> list[str]:
        """The names of what says which fault it is, and when."""
        return sorted(inspect.signature(self.of).parameters)

    def put(self, fault: P) -> P:
        """Plan a fault."""
        self._plan.append(fault)
        self._seen.append(0)
        self._happened.append(0)
        return fault

    def clear(self) -> None:
        """Plan nothing."""
        self._plan, self._seen, self._happened = [], [], []

    def befall(self, method: str, target: str) -> list[P]:
        """Count a request and give the faults it gets, in the order they were planned."""
        due = []
        for at, fault in enumerate(self._plan):
            if not fault.concerns(method, target):
                continue
            self._seen[at] += 1
            if (fault.times is None or self._happened[at] < fault.times) and fault.due(self._seen[at]):
                self._happened[at] += 1
                due.append(fault)
        return due

    def listing(self) -> list[dict[str, object]]:
        """Return the plan, with how often each fault has happened."""
        return [
            vars(fault) | {"happened": happened} for fault, happened in zip(self._plan, self._happened, strict=True)
        ]


class Faults(Plan[Fault]):
    """What is to go wrong with requests."""

    def __init__(self) -> None:
        super().__init__(Fault)

    def add(self, kind: FaultKind | Fault, /, **when: Any) -> Fault:
        """Plan a fault: `add("server_error", nth=2)`, `add("short_page", path="/users", amount=3, times=None)`."""
        return self.put(kind if isinstance(kind, Fault) else Fault(kind, **when))
