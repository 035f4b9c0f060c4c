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

    async def send(self, path: str, **fields: Any) -> Heard:
        """Send a form as `post` does, and go nowhere from there."""
        found = _CSRF.search(self.page)
        return await self._ask("POST", path, {"csrf": "" if found is None else found[1], **fields})

    async def upload(self, path: str, field: str, content: bytes, **fields: str) -> Heard:
        """Send a form with a file in one of its fields, with the token that the last page holds."""
        found = _CSRF.search(self.page)
        given = {"csrf": "" if found is None else found[1], **fields}
        parts = [f'--edge\r\nContent-Disposition: form-data; name="{one}"\r\n\r\n{given[one]}\r\n' for one in given]
        head = f'--edge\r\nContent-Disposition: form-data; name="{field}"; filename="list.csv"\r\n\r\n'
        body = "".join(parts).encode() + head.encode() + content + b"\r\n--edge--\r\n"
        return await self._follow(await self._send("POST", path, body, "multipart/form-data; boundary=edge"), path)

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
            path = answer.header("location").partition("#")[0]
            answer = await self._ask("GET", path)
        self.at, self.page = path, answer.body.decode()
        return answer

    async def _ask(self, method: str, path: str, fields: dict[str, Any] | None = None, origin: str = ORIGIN) -> Heard:
        if fields is None:
            return await self._send(method, path)
        body = urlencode(fields, doseq=True).encode()
        return await self._send(method, path, body, "application/x-www-form-urlencoded", origin)

    async def _send(
        self, method: str, path: str, body: bytes = b"", content_type: str = "", origin: str = ORIGIN
    ) -> Heard:
        headers = [("Cookie", self.cookie)] if self.cookie else []
        if content_type:
            headers += [("Origin", origin), ("Content-Type", content_type), ("Content-Length", str(len(body)))]
        answer = await self.face.ask(method, path, *headers, body=body, key="")
        self.heard.append(answer)
        return answer

    def values(self, company: str, **changes: str) -> dict[str, str]:
        """Return what is entered to link a company."""
        known = self.face.estate.values(company)
        entered = {name: known[name] for name in ("environment_id", "client_id", "client_secret")}
        return {"provider": "pingone", "region": "NA", **entered, **changes}
