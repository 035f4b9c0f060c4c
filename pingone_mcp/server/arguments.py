"""Arguments that several tools take, each with the description that a model reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from pingone_mcp.server.strict import open_object

Limit = Annotated[int, Field(ge=1, le=1000, description="Most rows.")]
Cursor = Annotated[str | None, Field(description="`next_cursor`, to go on with its question.")]
Environment = Annotated[str | None, Field(max_length=256, description="Only this environment (id or name).")]
Population = Annotated[str | None, Field(max_length=256, description="Only this population (id or name).")]
Fields = Annotated[list[str] | None, Field(description="Exactly these fields per row; * for all.")]
TIMES = "2026-11-20, 2026-11-20T08:00:00Z or 7d"
RemoteData = Annotated[bool | None, Field(description="Add PingOne's own object as `remote_data` (large).")]
Parameter = str | int | bool
Query = Annotated[
    Annotated[Mapping[str, Parameter | list[Parameter]], open_object(limit="integer", filter="string")] | None,
    Field(description="Query parameters."),
]
