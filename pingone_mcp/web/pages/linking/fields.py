"""The fields in which somebody enters a connection: their labels, and what is wrong with what stands in them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from pingone_mcp.advice import spelled
from pingone_mcp.settings.linked import SECRETS, wrong_value

if TYPE_CHECKING:
    from pydantic import JsonValue
    from starlette.datastructures import FormData

FIELDS = ("environment_id", "region", "custom_domain", "client_id", "client_secret")
LABELS: Mapping[str, str] = MappingProxyType(
    {
        "environment_id": "Environment ID",
        "region": "Region",
        "custom_domain": "Custom domain",
        "client_id": "Client ID",
        "client_secret": "Client secret",
        "environments": "the environments that are served",
        "populations": "the populations that are served",
    }
)
REGIONS: Mapping[str, str] = MappingProxyType(
    {
        "NA": "North America",
        "CA": "Canada",
        "EU": "Europe",
        "AU": "Australia",
        "SG": "Singapore",
        "AP": "Asia-Pacific",
    }
)
_LONGEST = 2_000


def entered(form: FormData) -> dict[str, str]:
    """Return what stands in the fields of a form, without blanks around it."""
    texts = {name: form.get(name, "") for name in FIELDS}
    return {name: text.strip() if isinstance(text, str) else "" for name, text in texts.items()}


def wrong_fields(values: Mapping[str, str]) -> dict[str, str]:
    """Return what is wrong with each value that cannot be right. No value is repeated."""
    wrong: dict[str, str] = {}
    for name, text in values.items():
        if len(text) > _LONGEST or not text.isprintable():
            wrong[name] = "this is no text that can stand here"
        elif not text and name in ("environment_id", "client_id", "client_secret"):
            wrong[name] = "this is missing"
        elif text and (complaint := wrong_value(name, text)) is not None:
            wrong[name] = complaint
    return wrong


def as_settings(values: Mapping[str, str], present: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return values as settings, beside those that are there: a custom domain that is emptied is one that was."""
    given: dict[str, JsonValue] = {name: text for name, text in values.items() if name != "custom_domain"}
    domain = values["custom_domain"] or None
    if domain is not None or present.get("custom_domain") is not None:
        given["custom_domain"] = domain
    return given


def shown(settings: Mapping[str, JsonValue]) -> dict[str, str]:
    """Return what a form shows of settings: never a secret."""
    texts = {name: settings.get(name) for name in FIELDS if name not in SECRETS}
    return {name: text if isinstance(text, str) else "" for name, text in texts.items()}


def in_fields(text: str) -> str:
    """Spell the settings in a text as the fields of these pages."""
    return spelled(text, _label)


def _label(name: str, _: str | None = None) -> str:
    return LABELS.get(name) or name.replace("_", " ")
