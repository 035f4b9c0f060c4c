"""What the unified user directory answers, as JSON Schema (2020-12): members that are not always there are optional."""

from __future__ import annotations

from pingone_mcp.directory.models import JsonObject

_TEXT: JsonObject = {"type": "string"}
_WHOLE: JsonObject = {"type": "integer"}
_YES_NO: JsonObject = {"type": "boolean"}
_TIME: JsonObject = {"type": "string", "format": "date-time"}
_OBJECT: JsonObject = {"type": "object"}
_TEXTS: JsonObject = {"type": "array", "items": _TEXT}


def _object(required: str = "id", /, **members: JsonObject) -> JsonObject:
    return {"type": "object", "properties": members, "required": required.split()}


def _each(names: str, schema: JsonObject) -> dict[str, JsonObject]:
    return dict.fromkeys(names.split(), schema)


def _several(schema: JsonObject) -> JsonObject:
    return {"type": "array", "items": schema}


def _or_null(schema: JsonObject) -> JsonObject:
    return {"anyOf": [schema, {"type": "null"}]}


_NAMED = _object(**_each("id name", _TEXT))
_SCOPE = _object("id type", **_each("id type name", _TEXT))
USER = _object(
    "id status",
    **_each(
        "id external_id username name first_name last_name title department type status locale timezone "
        "preferred_language avatar avatar_url",
        _TEXT,
    ),
    **_each("last_login_at locked_at created_at updated_at", _TIME),
    **_each("is_email_verified is_2fa_enabled", _YES_NO),
    **_each("identifiers manager status_source address custom_attributes remote_data truncated", _OBJECT),
    **_each("organizations workspaces", _several(_NAMED)),
    **_each("status_reasons unreadable", _TEXTS),
    emails=_several(_object("email", **_each("email type", _TEXT), is_primary=_YES_NO)),
    phones=_several(_object("number", **_each("number type", _TEXT))),
    groups=_several(_object(**_each("id name type organization", _TEXT))),
    roles=_several(_object(**_each("id name", _TEXT), scope=_SCOPE)),
)
GROUP = _object(
    "id organization",
    **_each("id name description external_id group_type organization organization_name user_filter", _TEXT),
    **_each("member_count group_count total_member_count", _WHOLE),
    **_each("created_at updated_at", _TIME),
    workspace=_NAMED,
    parents=_several(_object(**_each("id name type", _TEXT))),
    unreadable=_TEXTS,
    **_each("remote_data truncated", _OBJECT),
)
ROLE = _object(**_each("id name label description", _TEXT), scope_types=_TEXTS)
ASSIGNMENT = _object(
    "id user_id role_id", **_each("id user_id role_id role_name", _TEXT), scope=_SCOPE, workspace=_TEXTS
)
ORGANIZATION = _object(**_each("id name type region", _TEXT), **_each("user_count group_count", _WHOLE))
WORKSPACE = _object(
    **_each("id name", _TEXT), user_count=_WHOLE, is_default=_YES_NO, organization=_NAMED, unreadable=_TEXTS
)
ACTIVITY = _object(
    "id actor action event organization created_at",
    **_each("id action event organization workspace entity entity_type entity_name outcome description", _TEXT),
    actor=_object("type", type=_TEXT, user=_object("", **_each("id name", _TEXT)), application=_OBJECT),
    created_at=_TIME,
    context=_object("", **_each("ip_address user_agent", _TEXT)),
    remote_data=_OBJECT,
)
_CURSOR = _or_null({**_TEXT, "minLength": 1})


def listed(row: JsonObject) -> JsonObject:
    """Return the schema of a list of rows."""
    return _object(
        "result next_cursor prev_cursor result_count is_partial_response total",
        result={"anyOf": [_several(row), {"type": "object", "additionalProperties": row}]},
        next_cursor=_CURSOR,
        prev_cursor={"type": "null"},
        result_count=_WHOLE,
        is_partial_response=_YES_NO,
        total=_or_null(_WHOLE),
        stopped={"enum": ["limit", "size", "time", "error", None]},
        gaps=_TEXTS,
        error=_TEXT,
        replica_age_s=_WHOLE,
        debug=_or_null(_OBJECT),
    )
