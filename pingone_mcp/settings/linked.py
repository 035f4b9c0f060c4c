"""Settings of a linked connection, out of values that somebody has entered, or that were kept of it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue, SecretStr, ValidationError

from pingone_mcp.advice import setting
from pingone_mcp.errors import Refused, Unconfigured
from pingone_mcp.nearest import did_you_mean
from pingone_mcp.settings.addresses import host_name, is_public
from pingone_mcp.settings.callers import OF_THE_PROCESS
from pingone_mcp.settings.parts import (
    Answers,
    ConnectionSettings,
    CopySettings,
    Credentials,
    Endpoints,
    Pace,
    Part,
    Sample,
    ScopeSettings,
    UserAttributes,
)

SECRETS = frozenset({"client_secret"})
"""The settings whose values are sealed."""
_KEPT: tuple[type[Part], ...] = (
    Sample,
    Credentials,
    ScopeSettings,
    Endpoints,
    UserAttributes,
    Pace,
    Answers,
    CopySettings,
)
LINKED_SETTINGS = frozenset(name for part in _KEPT for name in part.model_fields) | {
    "allow_writes",
    "allow_production_writes",
}
"""The settings that a linked connection has of its own; folders and files are those of the process that serves it."""


CALLERS_SETTINGS = LINKED_SETTINGS - OF_THE_PROCESS
"""Those that a caller over HTTP may give."""
_NAMED = 5


def check_given(values: Mapping[str, JsonValue], present: Mapping[str, JsonValue]) -> None:
    """Raise Refused for what a caller over HTTP may not give, beside what is there already.

    A secret that is there goes to no other host: only who knows it may have it sent there.
    """
    if unknown := sorted(values.keys() - CALLERS_SETTINGS)[:_NAMED]:
        near = " ".join(filter(None, (did_you_mean(name, CALLERS_SETTINGS) for name in unknown)))
        raise Refused(
            f"A connection has no setting {', '.join(f'`{name[:64]}`' for name in unknown)} that can be given here.",
            f"{near} It has: {', '.join(sorted(CALLERS_SETTINGS))}.".strip(),
            code="NO_SUCH_SETTING",
        )
    domain = values.get("custom_domain")
    if domain == present.get("custom_domain"):
        return
    if isinstance(domain, str):
        host = host_name(domain.strip().rstrip("/"))
        if host is None or ":" in domain or not is_public(host):
            raise Refused(
                f"{setting('custom_domain')} is not the name of a public host, without a port.",
                "Give one such as login.example.com.",
                code="NO_PUBLIC_HOST",
            )
    if present and "custom_domain" in values and not values.keys() >= SECRETS:
        raise Refused(
            f"Another {setting('custom_domain')} is another place that the secret is sent to.",
            f"Give {setting('client_secret')} with it.",
            code="SECRET_NEEDED",
        )


def read_linked(values: Mapping[str, JsonValue]) -> ConnectionSettings:
    """Return the settings that values describe.

    Raises Unconfigured, which names every one that is missing or wrong, and Refused with those that there are not.
    """
    others = sorted(values.keys() - LINKED_SETTINGS)
    if others:
        raise Refused(
            f"A linked connection has no setting of its own called {', '.join(others)}.",
            f"It has: {', '.join(sorted(LINKED_SETTINGS))}.",
            code="NO_SUCH_SETTING",
        )
    return read(values)


def kept(settings: ConnectionSettings) -> tuple[dict[str, JsonValue], dict[str, SecretStr]]:
    """Return what was given of settings: what may be kept in the clear, and what is to be sealed."""
    names = settings.model_fields_set & LINKED_SETTINGS
    clear: dict[str, JsonValue] = settings.model_dump(mode="json", include=names - SECRETS)
    return clear, {name: getattr(settings, name) for name in SECRETS & names}


def read(values: Mapping[str, JsonValue]) -> ConnectionSettings:
    """Return the settings that values describe, folders and files among them. Raises Unconfigured."""
    try:
        return ConnectionSettings.model_validate(dict(values))
    except ValidationError as error:
        wrong = {str(item["loc"][0]): item["msg"] for item in error.errors(include_url=False, include_input=False)}
    lines = tuple(_line(name, what) for name, what in wrong.items())
    raise Unconfigured(
        "\n  ".join(["These values make no connection:", *lines]) + "\n", "Mend them, and try again.", wrong=lines
    )


def wrong_value(name: str, value: str) -> str | None:
    """Return what is wrong with one value, whatever the others are, if anything is. It is not repeated."""
    try:
        ConnectionSettings.model_validate({name: value})
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=False):
            if item["loc"][0] == name:
                return item["msg"]
    return None


def _line(name: str, what: str) -> str:
    info = ConnectionSettings.model_fields.get(name)
    return f"{setting(name)}: {what}. {info.description}" if info is not None else f"{name}: {what}."
