"""What may go wrong with a delivery, as values: which one, which fault."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from pingone_mcp.sandbox.faults import Plan, is_due

DeliveryFaultKind: TypeAlias = Literal[
    "lost_answer",
    "delivered_again",
    "delayed_batch",
    "reordered_batch",
    "lost_batch",
    "wrong_secret",
    "single_object",
    "nd_json",
    "cut_body",
    "large_body",
    "repeated_event",
    "unknown_action",
    "event_of_nobody",
    "foreign_environment",
    "without_modified_attributes",
    "empty_embedded",
]
DELIVERY_KINDS: tuple[DeliveryFaultKind, ...] = get_args(DeliveryFaultKind)

POSTPONED: frozenset[DeliveryFaultKind] = frozenset({"delayed_batch", "reordered_batch"})
"""The batch is not sent now; each batch is put off once at most."""


@dataclass(frozen=True)
class DeliveryFault:
    """One fault and the deliveries it befalls.

    Each attempt to send a batch is counted, from 1, since the fault was added; `target` is a regular expression that is
    searched in the URL (None: all). The `nth` attempt gets it, or every `every`-th, or (without either) each; at most
    `times` in all (None: no end).

    - `lost_answer`: the answer does not arrive, so that the batch comes again. `delivered_again`: it comes again,
      although it was accepted, after the next `amount` batches or `seconds`. `lost_batch`: it never comes.
    - `delayed_batch`: it and all behind it come `seconds` later. `reordered_batch`: it lets `amount` batches pass, but
      waits no longer than `seconds` for them.
    - `wrong_secret`: the headers have other values. `single_object`: the first event comes alone, as an object.
      `nd_json`: an event in each line. `cut_body`: half of the body. `large_body`: as large as `amount` MiB at least.
    - `repeated_event`: the last event stands twice in the batch. `unknown_action`, `event_of_nobody`,
      `foreign_environment`: the batch has one more event, of a type that no list has, about a user who never was, or
      of another environment. `without_modified_attributes`: events have no `_embedded`; `empty_embedded`: an empty one.
    """

    kind: DeliveryFaultKind
    nth: int | None = None
    every: int | None = None
    times: int | None = 1
    target: str | None = None
    seconds: float = 1.0
    amount: int = 1

    def __post_init__(self) -> None:
        if self.kind not in DELIVERY_KINDS:
            raise ValueError(f"no such fault: {self.kind}; there are {', '.join(DELIVERY_KINDS)}")

    def concerns(self, method: str, target: str) -> bool:  # noqa: ARG002 - every delivery is a POST
        """Say whether a delivery is one of those this fault counts."""
        return self.target is None or re.search(self.target, target) is not None

    def due(self, seen: int) -> bool:
        """Say whether the `seen`-th matching attempt gets it."""
        return is_due(seen, self.nth, self.every)


class DeliveryFaults(Plan[DeliveryFault]):
    """What is to go wrong with deliveries."""

    def __init__(self) -> None:
        super().__init__(DeliveryFault)

    def add(self, kind: DeliveryFaultKind | DeliveryFault, /, **when: Any) -> DeliveryFault:
        """Plan a fault: `add("lost_answer", nth=2)`, `add("delayed_batch", seconds=30, times=None)`."""
        return self.put(kind if isinstance(kind, DeliveryFault) else DeliveryFault(kind, **when))
