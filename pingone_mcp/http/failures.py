"""Why no answer came: a cause out of a small set, read from the chain of exceptions, and the sentence about it.

The failures of `engine` are caused by those of aiohttp, ssl and the operating system; what happened stands at the end
of that chain and nowhere else. No text of an exception is shown: it may hold a URL with credentials.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from enum import Enum
from types import MappingProxyType

import httpx

from pingone_mcp.advice import setting
from pingone_mcp.errors import Unreachable
from pingone_mcp.http.upstream import Upstream


class Cause(Enum):
    """What kept an answer from coming; the values are the codes by which a Problem says it."""

    REFUSED = "CONNECTION_REFUSED"
    NO_SUCH_HOST = "HOST_NOT_FOUND"
    NOT_TRUSTED = "CERTIFICATE_NOT_TRUSTED"
    EXPIRED = "CERTIFICATE_EXPIRED"
    OTHER_HOST = "CERTIFICATE_OF_ANOTHER_HOST"
    NO_TLS = "NO_TLS"
    PROXY_UNREACHABLE = "PROXY_UNREACHABLE"
    PROXY_NOT_IN_TIME = "PROXY_NOT_IN_TIME"
    PROXY_LOGIN = "PROXY_LOGIN_REQUIRED"
    PROXY_REFUSED = "PROXY_REFUSED"
    PROXY_FAILED = "PROXY_FAILED"
    NO_CONNECTION_IN_TIME = "NO_CONNECTION_IN_TIME"
    NO_FREE_CONNECTION = "NO_FREE_CONNECTION"
    NO_ANSWER_IN_TIME = "NO_ANSWER_IN_TIME"
    NOT_WHOLE_IN_TIME = "ANSWER_NOT_WHOLE_IN_TIME"
    BROKEN = "CONNECTION_BROKEN"
    UNREACHABLE = "UNREACHABLE"


class NotWholeInTime(httpx.TimeoutException):
    """An answer was not there, head and body, after so many `seconds`, whether or not some of it came."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not whole after {seconds:g} s")
        self.seconds = seconds


LASTING = frozenset({Cause.NOT_TRUSTED, Cause.EXPIRED, Cause.OTHER_HOST, Cause.PROXY_LOGIN, Cause.PROXY_REFUSED})
"""What is the same a moment later: a person has to change something."""

_SENTENCES: Mapping[Cause, tuple[str, str]] = MappingProxyType(
    {
        Cause.REFUSED: (
            "{host} refused the connection.",
            "Check {addresses}, and whether a firewall is in between.",
        ),
        Cause.NO_SUCH_HOST: (
            "There is no address for the host {host}.",
            "Check {addresses} and the network; where only a proxy leads out, name it in HTTPS_PROXY.",
        ),
        Cause.NOT_TRUSTED: (
            "The certificate of {host} is not one that is trusted here.",
            (
                "Where a proxy opens TLS, name a file with its certificate (PEM) in SSL_CERT_FILE "
                "(`pingone-mcp guide network`); else check {api}, {auth}."
            ),
        ),
        Cause.EXPIRED: (
            "The certificate of {host} has expired, or is not valid yet.",
            "Check the clock of this machine, and a proxy in between.",
        ),
        Cause.OTHER_HOST: (
            "The certificate that {host} shows is one for another host.",
            "Check {hosts}, and a proxy in between.",
        ),
        Cause.NO_TLS: (
            "No TLS connection to {host} came about.",
            "Check {api} and {auth} (https, the port), and a proxy in between.",
        ),
        Cause.PROXY_UNREACHABLE: (
            "The proxy on the way to {host} cannot be reached.",
            "Check HTTPS_PROXY, or except {host} with NO_PROXY.",
        ),
        Cause.PROXY_NOT_IN_TIME: (
            "No connection to {host} came about in time through the proxy.",
            "Check HTTPS_PROXY and {addresses}, or except {host} with NO_PROXY.",
        ),
        Cause.PROXY_LOGIN: (
            "The proxy on the way to {host} asks for a name and a password (407).",
            "Write them into HTTPS_PROXY (http://name:password@proxy.example.com:3128), or except {host} with NO_PROXY.",
        ),
        Cause.PROXY_REFUSED: (
            "The proxy on the way to {host} did not let the connection through.",
            "Ask who runs it to allow {host}, check HTTPS_PROXY, or except {host} with NO_PROXY.",
        ),
        Cause.PROXY_FAILED: (
            "The proxy on the way to {host} did not get a connection to it.",
            "Check {addresses} and what HTTPS_PROXY names, or except {host} with NO_PROXY.",
        ),
        Cause.NO_CONNECTION_IN_TIME: (
            "No connection to {host} came about in time.",
            "Check {addresses} and the network; where only a proxy leads out, name it in HTTPS_PROXY.",
        ),
        Cause.NO_FREE_CONNECTION: (
            "No connection to {host} became free in time.",
            "Try again; {concurrency} says how many there may be.",
        ),
        Cause.NO_ANSWER_IN_TIME: (
            "{host} did not answer in time.",
            "Try again. If it stays so, check the network, a proxy in between, and {addresses}.",
        ),
        Cause.NOT_WHOLE_IN_TIME: (
            "The answer of {host} was not whole after {seconds:g} s.",
            "Check the network and a proxy in between, then try again.",
        ),
        Cause.BROKEN: (
            "The connection to {host} broke before the answer was whole.",
            "Try again. If it stays so, check the network, a proxy in between, and {place}.",
        ),
        Cause.UNREACHABLE: (
            "{host} cannot be reached.",
            "Check {addresses}, the network, and HTTPS_PROXY.",
        ),
    }
)
# X509_V_ERR_… of OpenSSL's x509_vfy.h, as `SSLCertVerificationError.verify_code` tells them.
_OUT_OF_DATE = frozenset({9, 10})
_FOR_ANOTHER = frozenset({62, 64})


class NotAllowed(OSError):
    """A name leads to an address where nothing is sent."""


def unreachable(upstream: Upstream, host: str, failure: BaseException | None) -> Unreachable:
    """Return what to say of a request to a host of `upstream` that ended in `failure` (an httpx.TransportError)."""
    why = cause(failure)
    what, step = _SENTENCES[why]
    facts = {
        "host": host,
        "seconds": failure.seconds if isinstance(failure, NotWholeInTime) else 0.0,
        "addresses": upstream.addresses,
        "hosts": upstream.named_hosts,
        "api": upstream.urls[0],
        "auth": upstream.urls[1],
        "place": upstream.place,
        "concurrency": setting("concurrency"),
    }
    return Unreachable(what.format_map(facts), step.format_map(facts), code=why.value)


def what_happened(host: str, failure: BaseException | None) -> str:
    """Return what to say of a request to a host that is nobody's upstream: a sentence without advice."""
    seconds = failure.seconds if isinstance(failure, NotWholeInTime) else 0.0
    return _SENTENCES[cause(failure)][0].format(host=host, seconds=seconds)


def cause(failure: BaseException | None) -> Cause:
    """Read the cause from a failure and those it came from."""
    match failure:
        case httpx.ProxyError():
            return _of_proxy(failure)
        case httpx.ConnectError():
            return _of_connection(failure)
        case NotWholeInTime():
            return Cause.NOT_WHOLE_IN_TIME
        case httpx.PoolTimeout():
            return Cause.NO_FREE_CONNECTION
        case httpx.ConnectTimeout():
            return Cause.NO_CONNECTION_IN_TIME
        case httpx.TimeoutException():
            return Cause.NO_ANSWER_IN_TIME
        case None:
            return Cause.UNREACHABLE
    return Cause.BROKEN


def _of_proxy(failure: httpx.ProxyError) -> Cause:
    """Read what a proxy did: the text begins with the status of its answer, unless there was none."""
    match failure.__cause__:
        case httpx.ConnectError():
            return Cause.PROXY_UNREACHABLE
        case httpx.ConnectTimeout():  # of the connection to it, or of the one that it makes
            return Cause.PROXY_NOT_IN_TIME
    match str(failure)[:3]:
        case "407":
            return Cause.PROXY_LOGIN
        case status if status.startswith("4"):
            return Cause.PROXY_REFUSED
    return Cause.PROXY_FAILED


def _of_connection(failure: httpx.ConnectError) -> Cause:
    for one in _chain(failure):
        match one:
            case ssl.SSLCertVerificationError(verify_code=code):
                if code in _OUT_OF_DATE:
                    return Cause.EXPIRED
                return Cause.OTHER_HOST if code in _FOR_ANOTHER else Cause.NOT_TRUSTED
            case ConnectionRefusedError():
                return Cause.REFUSED
            case ssl.SSLError() | ConnectionError():
                return Cause.NO_TLS  # the connection was there by then
            case socket.gaierror():
                return Cause.NO_SUCH_HOST
    return Cause.UNREACHABLE


def _chain(failure: BaseException | None) -> Iterator[BaseException]:
    """Give a failure and those it came from; one that came from several gives all of them."""
    if failure is None:
        return
    yield failure
    if isinstance(failure, BaseExceptionGroup):
        for member in failure.exceptions:
            yield from _chain(member)
    yield from _chain(failure.__cause__ or failure.__context__)
