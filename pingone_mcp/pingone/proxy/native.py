"""PingOne's own API, one request at a time, inside the scope of the connection."""

from __future__ import annotations

import dataclasses
import re
from functools import partial
from urllib.parse import parse_qsl

import httpx

from pingone_mcp.directory.gaps import ShortNativeList
from pingone_mcp.directory.matching.filterable import configured
from pingone_mcp.directory.native import Concerned, Operation, Preview, ProxyAnswer, ProxyQuestion
from pingone_mcp.directory.paging.position import NOTHING_COUNTED, Counted, Position
from pingone_mcp.errors import FilterRefused, UnexpectedAnswer
from pingone_mcp.http.body import is_too_large
from pingone_mcp.pingone import filters
from pingone_mcp.pingone.api.answers import correlation_id, problem
from pingone_mcp.pingone.api.client import beside
from pingone_mcp.pingone.api.upstream import PAGE
from pingone_mcp.pingone.proxy import catalogue
from pingone_mcp.pingone.proxy.bodies import BodyReader
from pingone_mcp.pingone.proxy.concerned import concerned, reaches_beyond
from pingone_mcp.pingone.proxy.paths import READS, ProxyPaths
from pingone_mcp.pingone.proxy.redaction import redacted
from pingone_mcp.pingone.proxy.requests import content_of, measured, target_of
from pingone_mcp.pingone.served import Served

# Lists of days, whose `count` is that of the people on the last of them.
_COUNTS_OTHERS = re.compile(r"/(totalIdentities|activeIdentityCounts)(\?|$)")


class PingOneApi:
    """Pass requests through; each method is described in `NativeApi`."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._client = served.client
        connection = served.connection
        self._paths = ProxyPaths(connection.api_base, connection.scope, connection.allow_writes)
        self._bodies = BodyReader(served.client, self._paths)

    def operations(self) -> dict[str, tuple[Operation, ...]]:
        return catalogue.areas()

    def complete_path(self, prefix: str) -> tuple[str, ...]:
        return catalogue.complete(prefix)

    async def concerned(self, question: ProxyQuestion) -> tuple[Concerned, ...]:
        return await concerned(self._served, self._completed(question))

    async def send(self, question: ProxyQuestion, at: Position | None = None) -> ProxyAnswer:
        """Send one request. Raises Refused before that for what the connection may not reach.

        A page that ends a list before all came whom PingOne counts is asked for twice; then it is a gap.
        """
        try:
            return await self._sent_inside(self._completed(question), at)
        finally:  # a write may have happened also where no answer came, or nobody waited for it
            if question.method not in READS:
                self._served.names.forget()

    async def _sent_inside(self, question: ProxyQuestion, at: Position | None) -> ProxyAnswer:
        self._paths.url(question.path.partition("?")[0], question.method)
        target = target_of(question) if at is None or at.after is None else at.after
        before = at.counted if at is not None else NOTHING_COUNTED
        answer = await self._sent(question, target)
        if _missing(answer, before, target) and question.method in READS:
            answer = await self._sent(question, target)
        if answer.page is None:
            return answer
        behind = before.behind(answer.page.scanned, answer.page.total)
        page = dataclasses.replace(
            answer.page,
            at=Position(after=target, counted=before),
            next=dataclasses.replace(answer.page.next, counted=behind) if answer.page.next is not None else None,
        )
        if _missing(answer, before, target):
            gap = ShortNativeList(counted=behind.said or 0, came=behind.came)
            page = dataclasses.replace(page, total=None, gaps=(gap,))
        return dataclasses.replace(answer, page=page)

    async def _sent(self, question: ProxyQuestion, target: str) -> ProxyAnswer:
        url = self._paths.url(target.partition("?")[0], question.method) + target[len(target.partition("?")[0]) :]
        response = await self._client.send(question.method, url, most=PAGE, **content_of(question))
        answer = ProxyAnswer(status=response.status_code, correlation_id=correlation_id(response))
        if response.status_code == httpx.codes.NOT_MODIFIED:
            return answer
        if not response.is_success:
            failed = problem(response)
            if isinstance(failed, FilterRefused) and target.partition("?")[0].endswith("/users"):
                raise configured(filters.USERS, self._client.connection.attributes).advised(failed, _filter(target))
            raise failed
        if question.method == "HEAD" or not (response.content or is_too_large(response)):
            return answer
        reading = partial(self._bodies.read, response, target, listed=question.method in READS)
        try:
            read = await beside(len(response.content), reading)
        except UnexpectedAnswer as unread:
            if question.method in READS:
                raise
            return dataclasses.replace(answer, unread=unread.what)  # it is done, whatever its answer looks like
        return dataclasses.replace(answer, content_type=read.content_type, page=read.page, body=read.body, cut=read.cut)

    def _completed(self, question: ProxyQuestion) -> ProxyQuestion:
        """Return the request with the path that is meant: without `/v1`, with the only environment that is served."""
        return dataclasses.replace(question, path=self._paths.completed(question.path))

    async def preview(self, question: ProxyQuestion) -> Preview:
        """Return what of a request a person may see; refuse what `send` would refuse later."""
        question = self._completed(question)
        environment = self._paths.written(question.path)
        content_of(question)
        path, _, written = target_of(question).partition("?")
        segments = path.strip("/").split("/")
        given: dict[str, list[str]] = {}
        for name, value in parse_qsl(written, keep_blank_values=True):
            given.setdefault(name, []).append(value)
        query = {name: values[0] if len(values) == 1 else values for name, values in given.items()}
        return Preview(
            organization=await self._served.names.environment_now(environment),
            path=path,
            query=redacted(query, at=segments),
            body=measured(question.body, redacted(question.body, at=segments)),
            beyond=reaches_beyond(environment, question.body),
        )


def _filter(target: str) -> str | None:
    return dict(parse_qsl(target.partition("?")[2])).get("filter")


def _missing(answer: ProxyAnswer, before: Counted, target: str) -> bool:
    """Say whether an answer ends a list before all came whom PingOne counts."""
    if answer.page is None or answer.page.next is not None or _COUNTS_OTHERS.search(target):
        return False
    return before.behind(answer.page.scanned, answer.page.total).missing > 0
