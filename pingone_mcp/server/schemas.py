"""What each tool answers, as JSON Schema: every member by name, for clients that keep only what a schema names.

A type stands alone, and a value that may be null is a choice of two: clients that map schemas onto types of their own
take nothing else (the Inspector's `--strict` warns of it).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.reports.drift import KINDS

_TEXT: JsonObject = {"type": "string"}
_WHOLE: JsonObject = {"type": "integer"}
_NUMBER: JsonObject = {"type": "number"}
_YES_NO: JsonObject = {"type": "boolean"}
_OBJECT: JsonObject = {"type": "object"}
_TEXTS: JsonObject = {"type": "array", "items": _TEXT}
_OBJECTS: JsonObject = {"type": "array", "items": _OBJECT}
_COUNTS: JsonObject = {"type": "object", "additionalProperties": _WHOLE}


def _or_null(*schemas: JsonObject) -> JsonObject:
    return {"anyOf": [*schemas, {"type": "null"}]}


def _answer(*required: str, **members: JsonObject) -> JsonObject:
    return {"type": "object", "properties": members, "required": list(required)}


def _also(schema: JsonObject, *required: str, **members: JsonObject) -> JsonObject:
    return _answer(*schema["required"], *required, **schema["properties"], **members)


def _each(names: str, schema: JsonObject) -> JsonObject:
    return dict.fromkeys(names.split(), schema)


_ANY = _or_null(_OBJECT, {"type": "array"}, _TEXT, _NUMBER, _YES_NO)
_CURSOR = _or_null(_TEXT)
# What an answer that was cut says of it: a sentence, or by member what is shown.
_CUT: JsonObject = {"truncated": _OBJECT}
_AGE: JsonObject = {"replica_age_s": _WHOLE}
# A long look at everybody, or a sync, that goes on behind an answer.
_RUNNING: JsonObject = {"state": _TEXT, "stage": _TEXT, "done": _WHOLE, "about": _or_null(_WHOLE)}
# null: not known.
_KNOWN_COUNTS: JsonObject = {"type": "object", "additionalProperties": _or_null(_WHOLE)}
_ENVELOPE_MEMBERS: JsonObject = {
    "result": _OBJECTS,
    "next_cursor": _CURSOR,
    "prev_cursor": {"type": "null"},
    "result_count": _WHOLE,
    "total": {**_or_null(_WHOLE), "description": "All matches; null where it is not known for sure."},
    "is_partial_response": {
        **_YES_NO,
        "description": "Rows here lack fields that a single get of the same thing returns.",
    },
    "stopped": _or_null({"type": "string", "enum": ["limit", "size", "time", "error"]}),
    "fields": _TEXTS,
    "hint": _TEXT,
    "error": _TEXT,
    "gaps": {
        **_TEXTS,
        "description": "What could not be read, so that something may be missing; absent where nothing is.",
    },
}
_ENVELOPE_REQUIRED = ("result", "next_cursor", "result_count", "total", "is_partial_response", "stopped")
_ENVELOPE = _answer(*_ENVELOPE_REQUIRED, **_ENVELOPE_MEMBERS)
_USER = _answer(
    "id",
    "status",
    **_each(
        "id username external_id name first_name last_name title department type status locale timezone "
        "preferred_language avatar_url last_login_at locked_at created_at updated_at",
        _TEXT,
    ),
    **_each("identifiers manager status_source address custom_attributes remote_data truncated", _OBJECT),
    **_each("emails phones groups roles organizations workspaces", _OBJECTS),
    **_each("is_email_verified is_2fa_enabled", _YES_NO),
    **_each("status_reasons unreadable gaps", _TEXTS),
)
_COVERAGE: JsonObject = {
    "type": "object",
    "additionalProperties": _answer("how", "complete", how=_TEXT, complete=_YES_NO, note=_TEXT),
}
_REVIEW_OF_RULES = _each("unknown_groups ambiguous_groups idle expired offenders unmapped_groups", {"type": "array"})

OUTPUT: Mapping[str, JsonObject] = MappingProxyType(
    {
        "list_users": _ENVELOPE,
        "get_user": _USER,
        "find_deactivated": _also(_ENVELOPE, "coverage", coverage=_COVERAGE, source=_OBJECT),
        "list_groups": _ENVELOPE,
        "list_members": _ENVELOPE,
        "query_directory": _answer(
            "columns",
            "rows",
            "row_count",
            "truncated",
            "replica_age_s",
            columns=_TEXTS,
            rows={"type": "array", "items": {"type": "array"}},
            row_count=_WHOLE,
            truncated=_YES_NO,
            replica_age_s=_WHOLE,
            gaps=_TEXTS,
        ),
        "list_changes": _also(_ENVELOPE, later_cursor=_TEXT, known_since=_CURSOR, **_AGE),
        "access_review": _answer(
            **_ENVELOPE_MEMBERS,
            counts=_KNOWN_COUNTS,
            people=_OBJECTS,
            shown=_OBJECT,
            resource=_TEXT,
            manifest=_OBJECT,
            **_RUNNING,
            **_AGE,
            **_CUT,
        ),
        "check_drift": _answer(
            version=_WHOLE,
            checked_at=_TEXT,
            match_on=_TEXTS,
            fold_plus=_YES_NO,
            compare=_TEXTS,
            columns=_OBJECT,
            counts=_KNOWN_COUNTS,
            notes=_TEXTS,
            gaps=_TEXTS,
            shown=_OBJECT,
            since_last=_or_null(_OBJECT),
            **_each(" ".join(KINDS), _OBJECTS),
            **_RUNNING,
            **_AGE,
            **_CUT,
        ),
        "map_roles": _answer(
            **_ENVELOPE_MEMBERS,
            user=_OBJECT,
            roles=_or_null(_TEXTS),
            granted=_OBJECTS,
            expired={"type": "array"},
            conflicts=_OBJECTS,
            counts=_OBJECT,
            **{name: schema for name, schema in _REVIEW_OF_RULES.items() if name != "expired"},
            shown=_OBJECT,
            **_RUNNING,
            **_AGE,
            **_CUT,
        ),
        "sync_directory": _answer(
            "state",
            state={"type": "string", "enum": ["running", "done", "held", "failed"]},
            stage=_TEXT,
            done=_WHOLE,
            about=_or_null(_WHOLE),
            mode=_TEXT,
            complete=_YES_NO,
            reason=_TEXT,
            counts=_COUNTS,
            changes=_COUNTS,
            seconds=_NUMBER,
            watermark=_TEXT,
            gaps=_TEXTS,
            held=_YES_NO,
            taken_over=_YES_NO,
            started_at=_TEXT,
            ended_at=_TEXT,
            **_CUT,
        ),
        "describe_directory": _answer(
            topic=_TEXT,
            provider=_TEXT,
            region=_TEXT,
            organizations=_OBJECTS,
            limited_to_workspaces=_TEXTS,
            kept_seconds=_WHOLE,
            writes=_YES_NO,
            replica=_or_null(_OBJECT),
            rosters=_TEXTS,
            strings_are=_TEXT,
            dialect=_TEXT,
            types=_TEXT,
            views=_OBJECT,
            examples=_ANY,
            attributes=_OBJECT,
            custom_attributes=_TEXTS,
            combine=_TEXTS,
            not_filterable=_ANY,
            use=_TEXT,
            areas=_COUNTS,
            area=_TEXT,
            operations=_OBJECTS,
            rules=_OBJECTS,
            exclusive=_OBJECTS,
            note=_TEXT,
            gaps=_TEXTS,
            **_CUT,
        ),
        "browse_directory": _answer(
            "result",
            "result_count",
            "total",
            "hint",
            "replica_age_s",
            **{name: _ENVELOPE_MEMBERS[name] for name in ("result", "result_count", "total", "hint", "gaps")},
            at_least=_WHOLE,
            **_AGE,
            **_CUT,
        ),
        "directory_view": _answer(
            "copy",
            people=_OBJECTS,
            total=_or_null(_WHOLE),
            at_least=_WHOLE,
            next_cursor=_CURSOR,
            filters=_OBJECT,
            person=_OBJECT,
            copy=_OBJECT,
        ),
        "proxy_request": _answer(
            "status",
            "correlation_id",
            **_ENVELOPE_MEMBERS,
            status=_WHOLE,
            correlation_id=_or_null(_TEXT),
            body=_ANY,
            content_type=_TEXT,
            truncated=_TEXT,
            note=_TEXT,
        ),
    }
)
