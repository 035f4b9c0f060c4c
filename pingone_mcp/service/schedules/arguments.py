"""What a schedule is given beside its time: the arguments of its kind, read from JSON."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

RosterName = Annotated[str, Field(min_length=1, max_length=128, description="The name of a roster.")]


class ScheduleArguments(BaseModel):
    """Arguments of a kind: nothing else, and each value as its type says."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)
