"""Which permission a message of MCP needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pingone_mcp.service.callers import Permission

_READ: frozenset[Permission] = frozenset({"directory.read"})
_SYNC: frozenset[Permission] = frozenset({"directory.sync"})
_WRITE: frozenset[Permission] = frozenset({"directory.write"})
_READING = ("GET", "HEAD", "", None)  # the last two leave the argument out, which means GET


def needed_permissions(message: Any) -> frozenset[Permission]:
    """Return what a parsed JSON-RPC message needs; of several in an array, what all of them need together.

    What is no call of a tool needs to read, and so does what is no message at all: it will be refused for that.
    """
    if isinstance(message, list):
        return _READ.union(*(needed_permissions(one) for one in message if not isinstance(one, list)))
    return _needed_for(message.get("method"), message.get("params")) if isinstance(message, Mapping) else _READ


def _needed_for(method: Any, parameters: Any) -> frozenset[Permission]:
    """Return what a request needs, by its method and parameters as they came, whatever is in them."""
    if method != "tools/call" or not isinstance(parameters, Mapping):
        return _READ
    match parameters.get("name"):
        case "sync_directory":
            return _SYNC
        case "proxy_request":
            return _READ if _is_read(parameters.get("arguments")) else _WRITE
    return _READ


def _is_read(arguments: Any) -> bool:
    """Say whether `proxy_request` would only read; what cannot be made out is not taken for reading."""
    if arguments is None:
        return True
    return isinstance(arguments, Mapping) and arguments.get("method") in _READING
