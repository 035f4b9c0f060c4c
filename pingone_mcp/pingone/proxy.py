"""PingOne's own API, one request at a time, inside the fence of the connection."""

from __future__ import annotations

import dataclasses
from typing import Any
from urllib.parse import parse_qsl, unquote

import httpx

from pingone_mcp.directory.models import Page
from pingone_mcp.directory.provider import ProxyAnswer, ProxyQuestion
from pingone_mcp.errors import UnexpectedAnswer
from pingone_mcp.pingone.answers import correlation_id, problem
from pingone_mcp.pingone.client import Client, collection, path_with
from pingone_mcp.pingone.redaction import redacted


class Proxy:
    """Pass requests through."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def send(self, question: ProxyQuestion, at: str | None = None) -> ProxyAnswer:
        path, _, written = question.path.partition("?")
        self._client.fence.url(path)
        environment = next(iter(unquote(path).strip("/").split("/")[1:2]), None)
        parameters = dict(parse_qsl(written)) | question.query
        target = at or path_with("/" + path.strip("/"), parameters)
        response = await self._client.send(question.method, self._client.connection.api_base + target)
        if not response.is_success:
            raise problem(response)
        answer = ProxyAnswer(status=response.status_code, correlation_id=correlation_id(response))
        if question.method == "HEAD" or not response.content:
            return answer
        return dataclasses.replace(answer, **self._proxied(response, target, environment))

    def _proxied(self, response: httpx.Response, target: str, environment: str | None) -> dict[str, Any]:
        kind = response.headers.get("content-type", "").split(";")[0].strip().lower()
        if not (kind.endswith("json") or kind.startswith("text/")):
            raise UnexpectedAnswer(
                "The answer is neither JSON nor text, so it is not shown.", "Ask for another path.", code="BINARY_BODY"
            )
        if not kind.endswith("json"):
            return {"body": response.text}
        try:
            body = redacted(response.json())
        except (ValueError, RecursionError):
            raise UnexpectedAnswer(
                "PingOne's answer is not the JSON that it says it is.", "Try again.", code="UNREADABLE_ANSWER"
            ) from None
        found = collection(body) if isinstance(body, dict) else None
        if found is None:
            return {"body": body}
        hal = self._client.hal_page(body, found[1], environment=environment)
        items = tuple({key: value for key, value in item.items() if key != "_links"} for item in hal.items)
        return {
            "page": Page(items=items, at=target, next=hal.next, scanned=len(items), total=hal.count, about=hal.count)
        }
