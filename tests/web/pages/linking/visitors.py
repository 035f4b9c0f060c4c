"""A browser without scripts at the pages: it keeps the cookie, follows where it is led, and sends the forms it sees."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.web.faces import HOST, WholeFace
from tests.web.premises import Heard

ORIGIN = f"http://{HOST}"
_CSRF = re.compile(r'name="csrf" value="([0-9a-f]+)"')
_ACTION = re.compile(r'<form method="post" action="([^"]+)"')
_OUTCOME = re.compile(r'data-outcome="([^"]*)" data-target="([^"]*)"(?: data-onward="([^"]*)")?')


@dataclass(kw_only=True)
class Visitor:
    """`heard` is every answer so far, whole; `page` the last one, at `at`."""

    face: WholeFace
    at: str = "/"
    page: str = ""
    cookie: str = ""
    heard: list[Heard] = field(default_factory=list[Heard])

    async def invite(self, tenant: str = "customer", **more: Any) -> str:
        """Return the path of the page that a new link token opens."""
        made = await self.face.estate.control.tokens.create_link(tenant=tenant, **more)
        return f"/connect-account?link_token={made.get_secret_value()}"

    async def sign_in(self, *permissions: Any, connections: list[str] | None = None) -> None:
        key = await self.face.new_key(*permissions, connections=connections)
        answer = await self._ask("POST", "/sign-in", {"key": key})
        self.cookie = answer.header("set-cookie").partition(";")[0]

    async def get(self, path: str) -> Heard:
        return await self._follow(await self._ask("GET", path), path)

    async def post(self, path: str | None = None, *, origin: str = ORIGIN, **fields: Any) -> Heard:
        """Send a form with the token that the last page holds; None: to where the last form of that page leads."""
        if path is None:
            path = self.actions()[0]
        found = _CSRF.search(self.page)
        given = {"csrf": "" if found is None else found[1], **fields}
        return await self._follow(await self._ask("POST", path, given, origin), path)

    def actions(self) -> list[str]:
        """Return where the forms of the page lead."""
        return [html.unescape(one) for one in _ACTION.findall(self.page) if "sign-out" not in one]

    def outcome(self) -> tuple[str, str, str]:
        """Return the message, its target, and where the person is led."""
        found = _OUTCOME.search(self.page)
        assert found is not None, self.page
        message, target, onward = (html.unescape(one or "") for one in found.groups())
        return message, target, onward

    def everything(self) -> str:
        """Return all that was answered, headers too."""
        return "\n".join(one.text for one in self.heard)

    async def _follow(self, answer: Heard, path: str) -> Heard:
        for _ in range(3):
            if answer.status != 303:
                break
            path = answer.header("location")
            answer = await self._ask("GET", path)
        self.at, self.page = path, answer.body.decode()
        return answer

    async def _ask(self, method: str, path: str, fields: dict[str, Any] | None = None, origin: str = ORIGIN) -> Heard:
        headers = [("Cookie", self.cookie)] if self.cookie else []
        body = b""
        if fields is not None:
            headers += [("Origin", origin), ("Content-Type", "application/x-www-form-urlencoded")]
            body = urlencode(fields, doseq=True).encode()
            headers.append(("Content-Length", str(len(body))))
        answer = await self.face.ask(method, path, *headers, body=body, key="")
        self.heard.append(answer)
        return answer

    def values(self, company: str, **changes: str) -> dict[str, str]:
        """Return what is entered to link a company."""
        known = self.face.estate.values(company)
        entered = {name: known[name] for name in ("environment_id", "client_id", "client_secret")}
        return {"provider": "pingone", "region": "NA", **entered, **changes}
