"""The provider's own API: what is known of it, and reads of it as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.native import Operation, ProxyAnswer, ProxyQuestion
from pingone_mcp.directory.paging.listing import Listing
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.rows import is_truncated
from pingone_mcp.errors import NotFound
from pingone_mcp.nearest import did_you_mean
from pingone_mcp.service.answering import Listed, PageReport, asked, collect, listed
from pingone_mcp.service.backend import Backend

_PROXY_QUESTION = TypeAdapter(ProxyQuestion)
_MOST_ITEMS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeRead:
    """What the provider answered to one request, and of a collection the items that one answer holds."""

    answer: ProxyAnswer
    listed: Listed


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiArea:
    """An area of the provider's own API, with all operations of it that are known."""

    name: str
    operations: tuple[Operation, ...]


def find_area(backend: Backend, name: str) -> ApiArea:
    """Return the area of a name, in whichever case. Raises NotFound, with the nearest names, where there is none."""
    areas = backend.native_api().operations()
    known = {area.casefold(): area for area in areas}.get(name.casefold())
    if known is None:
        raise NotFound(
            "There is no such area of the PingOne API.",
            f"{did_you_mean(name, areas, most=3)} pingone://api, or topic api, lists them.".strip(),
            code="NOT_FOUND",
        )
    return ApiArea(name=known, operations=tuple(areas[known]))


async def read_native(
    backend: Backend,
    *,
    method: str,
    path: str,
    query: Mapping[str, str | list[str]],
    cursor: str | None = None,
    report: PageReport,
) -> NativeRead:
    """Send one read request; a `cursor` goes on in its collection.

    Raises Refused for what lies outside the scope, or where the provider has no API of its own, and Problem for what
    the provider refuses.
    """
    wanted = asked(backend, "proxy_request", {"method": method, "path": path, "query": query or None}, cursor)
    question = _PROXY_QUESTION.validate_python(wanted.question)
    native = backend.native_api()
    answers: list[ProxyAnswer] = []
    repeated: set[str] = set()

    async def read(at: Position | None) -> Page[JsonObject]:
        answers.append(await native.send(question, at))
        page = answers[-1].page or Page(items=(), at=Position(), next=None, scanned=0)
        found = Counter(str(item.get("id")) for item in page.items)
        repeated.update(identity for identity, times in found.items() if times > 1)
        return page

    def identify(item: JsonObject, place: int) -> str:
        """Tell items apart by id; by their place too where a page repeats an id, or has none."""
        identity = str(item.get("id"))
        return f"{identity}#{place}" if identity in repeated or "id" not in item else identity

    listing = Listing(read=read, row=lambda item: item, identify=identify)
    gathered = await collect(backend, listing, wanted, limit=_MOST_ITEMS, report=report, pages=1)
    return NativeRead(answer=answers[0], listed=listed(backend, wanted, gathered, lacks=is_truncated))
