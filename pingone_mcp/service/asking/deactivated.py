"""Users who cannot sign in any more, and how surely they were all found."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from pydantic import TypeAdapter

from pingone_mcp.directory.coverage import Coverage, DeactivatedPage, Reason, covered_so_far
from pingone_mcp.directory.paging.listing import Listing
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import DeactivatedQuestion, Provenance
from pingone_mcp.directory.rows import deactivated_row, user_row_lacks
from pingone_mcp.service.answering import Listed, PageReport, asked, collect, fields_to_name, listed
from pingone_mcp.service.asking.users import user_columns
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.freshness import exact_directory

_DEACTIVATED_QUESTION = TypeAdapter(DeactivatedQuestion)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeactivatedList:
    """One answer of a list of deactivated users; its gaps stand in the coverage of the reason that they belong to."""

    listed: Listed
    coverage: Mapping[Reason, Coverage]
    provenance: Provenance


async def find_deactivated(
    backend: Backend,
    *,
    reasons: Sequence[Reason] | None = None,
    since: str | None = None,
    population: str | None = None,
    environment: str | None = None,
    limit: int,
    cursor: str | None = None,
    report: PageReport,
    beside: int = 0,
) -> DeactivatedList:
    """Find users who cannot sign in any more; the local copy answers while it is fresh.

    `since` is a date, a time, or how long ago (7d). `beside` is what the answer needs besides rows and envelope, in
    characters. Raises Refused for arguments, and Problem where the first page cannot be read.
    """
    selected = {
        "reasons": sorted(reasons) if reasons else None,
        "population": population,
        "environment": environment,
    }
    wanted = asked(backend, "find_deactivated", selected, cursor, since=since)
    question = _DEACTIVATED_QUESTION.validate_python(wanted.question)
    columns = user_columns(backend, None, limit)
    directory = await exact_directory(backend, goes_on=cursor is not None)
    provenance = await directory.provenance(question, wanted.mark.position)
    last: list[DeactivatedPage] = []

    async def read(at: Position | None) -> DeactivatedPage:
        last[:] = [await directory.deactivated(question, at, page_size=limit)]
        return last[0]

    listing = Listing(
        read=read, row=lambda found: deactivated_row(found, columns), identify=lambda found, _: found.user.id
    )
    gathered = await collect(backend, listing, wanted, limit=limit, report=report, beside=beside)
    coverage = covered_so_far(last[0].coverage, gathered.next.position if gathered.next is not None else None)
    lacks, named = partial(user_row_lacks, fields=columns), fields_to_name(columns, None, limit)
    without_gaps = dataclasses.replace(gathered, gaps=())
    return DeactivatedList(
        listed=listed(backend, wanted, without_gaps, lacks=lacks, fields=named),
        coverage=coverage,
        provenance=provenance,
    )
