"""The frame of all pages: templates that escape whatever they show, and headers that let nothing foreign in."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response, StreamingResponse

from pingone_mcp import __version__
from pingone_mcp.advice import spelled
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.errors import Problem
from pingone_mcp.web.pages.assets import Assets

_TEMPLATES = Path(__file__).with_name("templates")
_NONCE_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """What the frame itself shows: which page this is, of which connection, and what was done just now.

    `matters` says how many things of the connection need a person; who does not read (`reads`) is led to no page of its
    directory. `csrf_token` is what each form holds (None: nobody has signed in). A guest is led nowhere else from here.
    """

    path: str = ""
    csrf_token: str | None = field(default=None, repr=False)
    connection: Mapping[str, str] | None = None
    notices: tuple[str, ...] = ()
    matters: int = 0
    reads: bool = True
    is_guest: bool = False


class Frame:
    """Renders pages; `prefix` is the path before all of ours, which a reverse proxy takes away."""

    def __init__(self, assets: Assets, prefix: str = "") -> None:
        self._assets, self._prefix = assets, prefix
        self._environment = Environment(
            autoescape=True,
            finalize=_shown,
            loader=FileSystemLoader(_TEMPLATES),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {"when": when, "number": number, "segment": segment}
        self._environment.globals |= {"version": __version__, "to": self.to, "asset": self._asset}
        self._streaming = self._environment.overlay(enable_async=True)

    def to(self, path: str) -> str:
        """Return a path of ours as a link."""
        return f"{self._prefix}{path}"

    def page(
        self,
        template: str,
        values: Mapping[str, object],
        framing: Framing,
        status: HTTPStatus = HTTPStatus.OK,
        *,
        part: str | None = None,
    ) -> Response:
        """Return a page, or one block of it alone, which goes into a page that is open."""
        nonce = secrets.token_urlsafe(_NONCE_BYTES)
        loaded = self._environment.get_template(template)
        context: dict[str, Any] = {**values, "nonce": nonce, "frame": framing}
        blocks = [loaded.render(context)] if part is None else loaded.blocks[part](loaded.new_context(context))
        return HTMLResponse("".join(blocks), status, headers_of(nonce))

    def stream(self, template: str, values: Mapping[str, object], framing: Framing) -> Response:
        """Return a page that is sent while it is made; an asynchronous iterator in it is waited for."""
        nonce = secrets.token_urlsafe(_NONCE_BYTES)
        loaded = self._streaming.get_template(template)
        parts = loaded.generate_async({**values, "nonce": nonce, "frame": framing})
        headers = {**headers_of(nonce), "X-Accel-Buffering": "no"}  # nginx would keep it to the end
        return StreamingResponse(parts, headers=headers, media_type="text/html; charset=utf-8")

    def problem(self, problem: Problem, status: HTTPStatus, framing: Framing, correlation_id: str) -> Response:
        """Return the page of a failure: what went wrong, what to do next, and under which id the log has it."""
        values = {
            "what": spelled(problem.what),
            "next_step": spelled(problem.next_step),
            "status": status,
            "correlation_id": correlation_id,
        }
        return self.page("problem.html", values, framing, status)

    def _asset(self, name: str) -> str:
        return self.to(self._assets.path_of(name))


def headers_of(nonce: str) -> dict[str, str]:
    """Return the headers of a page. Whatever it holds runs, or is a style, only with the nonce of this one answer."""
    policy = (
        "default-src 'none'",
        f"script-src 'nonce-{nonce}'",
        f"style-src 'nonce-{nonce}'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "Cache-Control": "no-store",
        "Referrer-Policy": "same-origin",  # with none at all, browsers send forms without their origin
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }


def when(at: datetime | str | None) -> Markup | str:
    """Return a time as an element that the script shows in the reader's own zone; without it, UTC stands there."""
    if at is None:
        return ""
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    text = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Markup('<time datetime="{}">{}</time>').format(timestamp(moment), text)


def number(count: int | None) -> str:
    """Return a number with its thousands apart; a dash for one that is not known, which is not zero."""
    return "\u2013" if count is None else f"{count:,}"


def segment(text: str) -> str:
    """Return a text as one segment of a path."""
    return quote(text, safe="")


def _shown(value: Any) -> Any:
    """Return what stands where a template prints something: nothing for None, and no hidden characters."""
    if value is None:
        return ""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return harmless(value, keep_lines=True)
