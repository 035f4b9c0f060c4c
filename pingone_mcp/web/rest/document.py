"""The API described: an OpenAPI 3.1 document, made of the same operations as the routes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pingone_mcp import __version__
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.web.rest.operation import RestAnswer, RestOperation
from pingone_mcp.web.rest.parameters import Parameter
from pingone_mcp.web.rest.proxy import IDEMPOTENCY_KEY

PATH = "/openapi.json"
_TEXT: JsonObject = {"type": "string"}
_SOME_TEXT: JsonObject = {**_TEXT, "minLength": 1}
_ERROR: JsonObject = {
    "type": "object",
    "description": "What went wrong, and what to do next. A failure of the provider's has `truto_is_remote_error`.",
    "properties": {
        "statusCode": {"type": "integer"},
        "error": _TEXT,
        "message": _TEXT,
        "next_step": _TEXT,
        "code": _TEXT,
        "correlation_id": _TEXT,
        "details": {
            "type": "object",
            "properties": {"failures": {"type": "array", "items": _TEXT}},
            "required": ["failures"],
        },
        "next_cursor": _TEXT,
        "truto_is_remote_error": {"const": True},
        "raw_response": {"type": "object"},
    },
    "required": ["statusCode", "error", "message"],
}
_RETRY: JsonObject = {"Retry-After": {"description": "Seconds, a whole number.", "schema": {"type": "integer"}}}
_SCHEMAS = "#/components/schemas/"
_PRINTABLE = r"^[^\u0000-\u001F\u007F-\u00A0\u00AD]+$"  # all that is refused cannot be said in a pattern
_KEY: JsonObject = {
    "name": IDEMPOTENCY_KEY,
    "in": "header",
    "required": False,
    "description": "What the caller calls this request: sent again with the same, it is answered as it was for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


def _json(schema: JsonObject) -> JsonObject:
    return {"application/json": {"schema": schema}}


_FAILED: JsonObject = {"$ref": "#/components/responses/Error"}
_READY: JsonObject = {
    "type": "object",
    "properties": {
        "ready": {"type": "boolean"},
        "parts": {"type": "object", "additionalProperties": _TEXT},
        "notes": {"type": "object", "additionalProperties": _TEXT},
    },
    "required": ["ready", "parts", "notes"],
}
_ALIVE: JsonObject = {"type": "object", "properties": {"alive": {"const": True}}, "required": ["alive"]}
HEALTH_PATHS: JsonObject = {
    "/healthz": {
        "get": {
            "operationId": "isAlive",
            "tags": ["service"],
            "summary": "Hear that the process lives.",
            "responses": {"200": {"description": "It lives.", "content": _json(_ALIVE)}, "default": _FAILED},
            "security": [],
        }
    },
    "/readyz": {
        "get": {
            "operationId": "isReady",
            "tags": ["service"],
            "summary": "Hear whether everything is answered, and what a person should look at.",
            "responses": {
                "200": {"description": "Every part is `ok`.", "content": _json(_READY)},
                "503": {"description": "`parts` says which is not.", "content": _json(_READY)},
                "default": _FAILED,
            },
            "security": [],
        }
    },
    "/metrics": {
        "get": {
            "operationId": "getMetrics",
            "tags": ["service"],
            "summary": "Get the figures of all connections.",
            "description": "Needs a credential that reaches all connections, of whatever scope.",
            "responses": {
                "200": {"description": "Text of Prometheus.", "content": {"text/plain": {"schema": _TEXT}}},
                "default": _FAILED,
            },
        }
    },
}
"""What is asked by who runs the server (`web/operations/`), beside the operations of the API."""


def document(operations: Iterable[RestOperation], server: str) -> JsonObject:
    """Return the document of these operations, which are asked at a URL."""
    paths: dict[str, JsonObject] = {}
    schemas: JsonObject = {"Error": _ERROR}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schemas)
    paths |= HEALTH_PATHS
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pingone-mcp",
            "version": __version__,
            "summary": "Directories of many PingOne customers, by one API.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server}],
        "paths": paths,
        "security": [{"bearer": []}],
        "components": {
            "schemas": schemas,
            "responses": {
                "Error": {"description": "What went wrong.", "headers": _RETRY, "content": _json(_reference("Error"))}
            },
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key (`pingone-mcp keys create`), an access token, or the token of one "
                    "connection.",
                }
            },
        },
    }


def document_operation(operations: Iterable[RestOperation], server: str) -> RestOperation:
    """Return the operation that answers the document of all these and of itself."""

    async def answer(_: object) -> RestAnswer:
        return RestAnswer(body=made)

    itself = RestOperation(
        name="describeApi",
        path=PATH,
        tag="service",
        summary="Get this document.",
        is_open=True,
        permission=None,
        of_connection=False,
        answer=answer,
        answers={"type": "object"},
    )
    made = document([*operations, itself], server)
    return itself


def _operation(one: RestOperation, schemas: JsonObject) -> JsonObject:
    """Return one operation; what the schema of its body refers to is put among the `schemas` of the document."""
    described: JsonObject = {
        "operationId": one.name,
        "tags": [one.tag],
        "summary": one.summary,
        "parameters": [
            *_path_parameters(one),
            *(part for parameter in one.every_parameter for part in _query(parameter)),
        ],
        "responses": _responses(one),
    }
    if one.passes_on:
        described["description"] = "All other parameters are passed on to the provider."
    if one.permission is not None:
        described["description"] = f"{described.get('description', '')} Needs the scope {one.permission}.".strip()
    if one.takes is not None:
        is_required = any(field.is_required() for field in one.takes.model_fields.values())
        schema = one.takes.model_json_schema(ref_template=f"{_SCHEMAS}{{model}}")
        schemas |= schema.pop("$defs", {})
        described["requestBody"] = {"required": is_required, "content": _json(schema)}
    if one.takes_json:
        described["requestBody"] = {"required": False, "content": _json({})}
        described["parameters"].append(_KEY)
    if one.takes_files:
        kinds: JsonObject = {kind: {"schema": {} if kind.endswith("/json") else _TEXT} for kind in one.takes_files}
        described["requestBody"] = {"required": True, "content": kinds}
    if one.is_open:
        described["security"] = []
    return described


def _path_parameters(one: RestOperation) -> list[JsonObject]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": about,
            "schema": {"type": "string", "minLength": 1, "pattern": _PRINTABLE},
        }
        for name, about in one.about_path.items()
    ]


def _responses(one: RestOperation) -> JsonObject:
    schema = one.answers
    if any(parameter.name == "truto_response_format" and "raw" in parameter.choices for parameter in one.parameters):
        schema = {"anyOf": [schema, {"type": "object", "description": "What `raw` and `debug` answer."}]}
    answers: JsonObject = {"200": {"description": one.summary, "content": _json(schema)}}
    if one.passes_on:
        text: JsonObject = {**_json(schema), "text/plain": {"schema": _TEXT}}
        answers = {
            "2XX": {"description": "What the provider answered, with its status.", "content": text},
            "204": {"description": "Done; there is nothing to show."},
        }
    return {**answers, "default": _FAILED}


def _query(parameter: Parameter) -> list[JsonObject]:
    """Return one parameter as those of the document: a filter is one for each way of comparing."""
    if parameter.kind == "filter" and not parameter.is_open:
        return [
            _parameter(parameter.name if one == "eq" else f"{parameter.name}[{one}]", parameter.about, _SOME_TEXT)
            for one in parameter.comparisons
        ]
    return [_parameter(parameter.name, parameter.about, _schema(parameter), **_style(parameter))]


def _parameter(name: str, about: str, schema: JsonObject, **more: Any) -> JsonObject:
    return {"name": name, "in": "query", "required": False, "description": about, "schema": schema, **more}


def _style(parameter: Parameter) -> JsonObject:
    match parameter.kind:
        case "list":
            return {"style": "form", "explode": True}
        case "members" | "filter":
            return {"style": "deepObject", "explode": True}
        case _:
            return {}


def _schema(parameter: Parameter) -> JsonObject:
    # An empty text is absent: some clients send every parameter.
    text: JsonObject = {"type": "string", "enum": [*parameter.choices, ""]} if parameter.choices else _TEXT
    match parameter.kind:
        case "integer":
            bounds: JsonObject = {"type": "integer", "minimum": parameter.least, "maximum": parameter.most}
            return bounds if parameter.default is None else {**bounds, "default": parameter.default}
        case "boolean":
            return {"type": "boolean"}
        case "list":
            return {"type": "array", "items": text}
        case "members":
            members: JsonObject = {"type": "object", "additionalProperties": not parameter.choices}
            return {**members, "properties": dict.fromkeys(parameter.choices, _TEXT)}
        case "filter":
            return {"type": "object", "additionalProperties": _SOME_TEXT}
        case _:
            return text


def _reference(name: str) -> JsonObject:
    return {"$ref": f"{_SCHEMAS}{name}"}
