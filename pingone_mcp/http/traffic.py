"""How many requests this process has sent to providers, by what became of them: for who watches a server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from pingone_mcp.http.pacing import Outcome

_OUTCOMES: tuple[Outcome, ...] = ("answered", "limited", "failed")
_SENT: Counter[Outcome] = Counter(dict.fromkeys(_OUTCOMES, 0))


def count(outcome: Outcome) -> None:
    _SENT[outcome] += 1


def sent() -> Mapping[Outcome, int]:
    """Return the counts since the process began: `limited` were answered 429, `failed` 5xx or not at all."""
    return dict(_SENT)
