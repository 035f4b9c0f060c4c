"""Changes of the provider's data, each confirmed by a person: what is allowed, and where it is recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from pingone_mcp.service.journal import Journal
from pingone_mcp.service.questions import Questions


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRules:
    """What is allowed, where it is recorded, what people were asked; `within` bounds a wait, in seconds."""

    journal: Journal
    allow_production: bool = False
    questions: Questions = field(default_factory=Questions)
    within: Callable[[float], anyio.CancelScope] = anyio.move_on_after
