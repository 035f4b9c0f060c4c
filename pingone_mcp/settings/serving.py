"""The settings of `pingone-mcp serve`: where it is reached, where it keeps what, and whom it lets in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode

from pingone_mcp.settings.addresses import base_url, host_name
from pingone_mcp.settings.parts import Part, expanded

_PORTS = {"http": ":80", "https": ":443"}


class Serving(Part):
    """How the HTTP face is reached, what it keeps, and who may call it."""

    public_url: str | None = Field(
        None,
        description="The base of every link, audience and redirect, as callers reach it. Required off loopback; never "
        "taken from a request.",
        examples=["https://directory.example.com"],
    )
    state_dir: Path | None = Field(
        None,
        description="Folder of control data, key ring and local copies of linked connections.",
        examples=["/var/lib/pingone-mcp"],
    )
    database_url: SecretStr | None = Field(
        None,
        description="PostgreSQL database of control data; without it they are a SQLite file in the state folder.",
        examples=["postgresql://pingone@db.example.com/pingone"],
    )
    key_file: Path | None = Field(
        None,
        description="Key ring that seals the secrets of connections, one key per line, the first is the current one.",
        examples=["/etc/pingone-mcp/keys"],
    )
    oauth_issuer: str | None = Field(
        None,
        description="Accept JWT access tokens of this issuer.",
        examples=["https://auth.pingone.eu/3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10/as"],
    )
    oauth_audience: str | None = Field(
        None,
        description="Audience that access tokens must have; without it, the URL of the endpoint that is called.",
        examples=["https://directory.example.com"],
    )
    oauth_connections_claim: str | None = Field(
        None,
        description="Claim of an access token that lists the ids of the connections it reaches.",
        examples=["directory_connections"],
    )
    oidc_client_id: str | None = Field(
        None,
        description="Client that people sign in to the pages with, at the issuer of access tokens; its redirect URI is "
        "`/sign-in/callback` below the public URL.",
        examples=["3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10"],
    )
    oidc_client_secret: SecretStr | None = Field(
        None, description="Secret of that client; a public client has none.", examples=["the secret of that client"]
    )
    admins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated subjects, or verified e-mail addresses, of those who manage everything when they sign "
        "in so.",
        examples=["ada@example.com"],
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated origins of web pages that may call MCP endpoints from a browser.",
        examples=["https://claude.ai"],
    )
    tls_cert: Path | None = Field(
        None, description="Certificate with its chain (PEM), to serve TLS oneself.", examples=["/etc/tls/cert.pem"]
    )
    tls_key: Path | None = Field(
        None,
        description="Private key of that certificate (PEM).",
        examples=["/etc/tls/key.pem"],
    )

    webhook_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated hosts that events may be sent to, and rosters pulled from, although their addresses are "
        "private ones.",
        examples=["hooks.corp.example.com"],
    )
    hook_silence_minutes: int = Field(
        60,
        ge=5,
        le=1440,
        description="Minutes without an event from a provider that has sent some, after which a sync looks whether any "
        "was lost.",
        examples=["60"],
    )

    def state_folder(self) -> Path:
        """Name the state folder; it need not exist. Raises Unconfigured."""
        if self.state_dir is not None:
            return expanded(self.state_dir)
        from platformdirs import user_state_path  # noqa: PLC0415 - start-up: only needed where something is kept

        return user_state_path("pingone-mcp", appauthor=False)

    def key_path(self) -> Path | None:
        """Name the key ring, where it is not in the state folder. Raises Unconfigured."""
        return expanded(self.key_file) if self.key_file is not None else None

    @field_validator("public_url", mode="after")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        return None if value is None else base_url(value)

    @field_validator("oauth_issuer", mode="after")
    @classmethod
    def _issuer(cls, value: str | None) -> str | None:
        if value is not None:
            base_url(value)
        return value  # as it is: an issuer is compared letter by letter (RFC 8414 §3.3)

    @field_validator("database_url", mode="after")
    @classmethod
    def _postgres(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise PydanticCustomError("database_url", "must be a URL such as postgresql://user@host/database")
        return value

    @field_validator("oauth_audience", "oauth_connections_claim", mode="after")
    @classmethod
    def _of_an_issuer(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and "oauth_issuer" in info.data and info.data["oauth_issuer"] is None:
            raise PydanticCustomError("issuer", "has no meaning without the issuer of access tokens")
        return value

    @field_validator("oidc_client_id", mode="after")
    @classmethod
    def _at_an_issuer(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and "oauth_issuer" in info.data and info.data["oauth_issuer"] is None:
            raise PydanticCustomError("issuer", "has no meaning without the issuer of access tokens")
        return value

    @field_validator("oidc_client_secret", "admins", mode="after")
    @classmethod
    def _of_a_client(cls, value: Any, info: ValidationInfo) -> Any:
        if value and "oidc_client_id" in info.data and info.data["oidc_client_id"] is None:
            raise PydanticCustomError("client", "has no meaning without the client that people sign in with")
        return value

    @field_validator("admins", "allowed_origins", "webhook_hosts", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))

    @field_validator("allowed_origins", mode="after")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_origin(one) for one in value))

    @field_validator("webhook_hosts", mode="after")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_host(one) for one in value))

    @field_validator("tls_key", mode="after")
    @classmethod
    def _both(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if "tls_cert" in info.data and (value is None) != (info.data["tls_cert"] is None):
            raise PydanticCustomError("tls", "must be set together with the certificate, or neither of them")
        return value


def _host(text: str) -> str:
    """Return a host without a port, in small letters. Raises PydanticCustomError."""
    host = host_name(text)
    if host is None or (":" in text and not text.endswith("]")):
        raise PydanticCustomError("host", "must be hosts such as hooks.corp.example.com, without a port")
    return host


def _origin(text: str) -> str:
    """Return an origin as browsers write it (RFC 6454 §6.2): in small letters, without the scheme's own port.

    Raises PydanticCustomError.
    """
    scheme, _, rest = text.lower().partition("://")
    if scheme not in _PORTS or host_name(rest) is None:
        raise PydanticCustomError("origin", "must be origins such as https://claude.ai, without a path")
    return f"{scheme}://{rest.removesuffix(_PORTS[scheme])}"
