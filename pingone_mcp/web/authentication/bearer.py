"""The credential of a request: where it may be, and where it never may be."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

from starlette.datastructures import Headers

LONGEST = 16 * 1024
"""Characters of a credential; more is none of ours."""
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 §2.1, b64token
_BEARER = "bearer"
# A key or an account token of ours, and a JWT: three parts, the first of which is a JSON object (`{"` in base64url).
_CREDENTIAL = re.compile(
    r"pmk_[A-Za-z0-9]+_[A-Za-z0-9]{8,}|pat_[A-Za-z0-9]{16,}|eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"
)
_PARAMETERS = re.compile(r"(?:^|&)(?:access_token|api_key|apikey|authorization)=", re.IGNORECASE)


class BadCredential(Exception):
    """A credential came, and it is not good; the text says why, to whoever sent it."""


def bearer_token(headers: Headers) -> str | None:
    """Return the token of the header Authorization; None where there is none, or it is of another scheme.

    Raises BadCredential for one that can be no token, and for two headers.
    """
    given = headers.getlist("authorization")
    if len(given) > 1:
        raise BadCredential("There are two Authorization headers.")
    scheme, _, token = (given[0] if given else "").strip(" \t").partition(" ")
    if scheme.lower() != _BEARER:
        return None
    token = token.strip(" \t")
    if len(token) > LONGEST or not _TOKEN.fullmatch(token):
        raise BadCredential("The token is malformed.")
    return token


def holds_credential(path: str, query: str) -> bool:
    """Say whether a URL holds a credential, in its path or its query: both end in logs and histories."""
    return bool(_PARAMETERS.search(query) or _CREDENTIAL.search(unquote_plus(query)) or _CREDENTIAL.search(path))


def without_credentials(text: str) -> str:
    """Return a text, such as a path, with what could be a credential in it left out."""
    return _CREDENTIAL.sub("[credential]", text)
