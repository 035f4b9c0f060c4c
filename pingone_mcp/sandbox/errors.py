"""The error bodies PingOne answers with, as one exception."""

from __future__ import annotations

from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

NO_ACCESS = "The request could not be completed. You do not have access to this resource."
INVALID = "The request could not be completed. One or more validation errors were in the request."


class ApiError(Exception):
    """Refuse a request with PingOne's `{id, code, message, details}`."""

    def __init__(
        self, status: int, code: str, message: str, *details: Json, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, code, message)
        self.status, self.code, self.message, self.details, self.headers = status, code, message, details, headers or {}

    def body(self, error_id: str) -> Json:
        """Write the error as PingOne does; `details` is absent when there are none."""
        body: Json = {"id": error_id, "code": self.code, "message": self.message}
        if self.details:
            body["details"] = list(self.details)
        return body


def detail(code: str, message: str, target: str | None = None, **inner: object) -> Json:
    """Describe one cause; `inner` becomes `innerError`."""
    body: Json = {"code": code}
    if target is not None:
        body["target"] = target
    body["message"] = message
    if inner:
        body["innerError"] = inner
    return body


def invalid_token() -> ApiError:
    """401 for a missing, unknown, expired or revoked token."""
    message = "The authorization token is either missing or invalid, or it has expired."
    return ApiError(401, "ACCESS_FAILED", NO_ACCESS, detail("INVALID_TOKEN", message, "Authentication Credentials"))


def not_permitted() -> ApiError:
    """403 for a missing role, and for an environment that does not exist."""
    message = "The actor attempting to perform the request is not authorized."
    return ApiError(403, "ACCESS_FAILED", NO_ACCESS, detail("INSUFFICIENT_PERMISSIONS", message))


def not_found() -> ApiError:
    """404 for a path or a resource that does not exist."""
    return ApiError(404, "NOT_FOUND", "The request could not be completed. The requested resource was not found.")


def wrong_method() -> ApiError:
    """405; the code of the body is not documented."""
    return ApiError(405, "INVALID_REQUEST", "The request could not be completed. The method is not supported.")


def wrong_media_type(accepted: list[str]) -> ApiError:
    """415 for a body in a media type the resource does not know."""
    message = "The request could not be completed. The content type is not supported."
    return ApiError(
        415, "INVALID_REQUEST", message, detail("INVALID_VALUE", message, "Content-Type", allowedValues=accepted)
    )


def invalid(code: str, message: str, target: str | None = None, **inner: object) -> ApiError:
    """400 INVALID_DATA with one cause."""
    return ApiError(400, "INVALID_DATA", INVALID, detail(code, message, target, **inner))


def malformed(message: str) -> ApiError:
    """400 INVALID_REQUEST for a body that cannot be read at all."""
    return ApiError(400, "INVALID_REQUEST", f"The request could not be completed. {message}")


def not_unique(target: str, existing_id: str) -> ApiError:
    """400 for a second resource of the same name."""
    return invalid(
        "UNIQUENESS_VIOLATION", "is unique but a non-unique value is provided", target, existingId=existing_id
    )


def too_many(retry_at: str, headers: dict[str, str]) -> ApiError:
    """429 with the body the OpenAPI file describes."""
    message = "The request could not be completed. The rate limit has been exceeded."
    limit = detail("LIMIT_EXCEEDED", "Too many requests.", retryAfter=retry_at)
    return ApiError(429, "REQUEST_LIMITED", message, limit, headers=headers)
