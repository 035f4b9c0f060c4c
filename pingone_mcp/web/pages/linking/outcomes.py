"""What came of linking: what Truto's Link SDK hears of the window that it has opened, or finds in the URL led to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

ErrorType = Literal["invalid_token", "invalid_integration", "connection_error"]
INTEGRATION = "pingone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A message without any secret. Only windows of the `target` get it; `onward` is where the person is led.

    Without a redirect URI nobody has said of which origin the opener is, so any may be.
    """

    message: Mapping[str, object]
    target: str = "*"
    onward: str | None = None

    @property
    def text(self) -> str:
        return json.dumps(dict(self.message))


def succeeded(account: str, redirect_uri: str | None) -> Outcome:
    """Return that a connection was linked."""
    said = {"result": "success", "integration": INTEGRATION, "integrated_account_id": account}
    return _outcome(said, redirect_uri)


def failed(error: str, kind: ErrorType, redirect_uri: str | None = None) -> Outcome:
    """Return that nothing was linked, and why."""
    return _outcome({"error": error, "error_type": kind, "integration": INTEGRATION}, redirect_uri)


def _outcome(said: Mapping[str, str], redirect_uri: str | None) -> Outcome:
    message = {**said, "is_truto": True}
    if redirect_uri is None:
        return Outcome(message=message)
    parts = urlsplit(redirect_uri)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *said.items()])
    onward = urlunsplit((parts.scheme, parts.netloc, parts.path, query, parts.fragment))
    return Outcome(message=message, target=f"{parts.scheme}://{parts.netloc}", onward=onward)
