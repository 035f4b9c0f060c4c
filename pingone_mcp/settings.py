"""Everything a person configures, and the one place that reads the environment.

Values come from environment variables, or from a file named explicitly (`--env-file`). A `.env` in
the current folder is never read: a workspace that somebody opens could send the secret elsewhere.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import logging
import re
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from pingone_mcp.advice import PREFIX, setting
from pingone_mcp.directory.scope import Scope
from pingone_mcp.errors import Unconfigured
from pingone_mcp.first_answers import MOST_ENV_BYTES
from pingone_mcp.private_files import is_open_to_others, read_named

Region = Literal["NA", "CA", "EU", "AU", "SG", "AP"]
AuthMethod = Literal["client_secret_basic", "client_secret_post"]

# Top-level domain per region: PingOne Platform API, "PingOne API domains".
TOP_LEVEL_DOMAINS: dict[Region, str] = {
    "NA": "com",
    "CA": "ca",
    "EU": "eu",
    "AU": "com.au",
    "SG": "sg",
    "AP": "asia",
}
ALL = "all"
_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_HOST = re.compile(rf"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>{_LABEL}(?:\.{_LABEL})*))(?::(?P<port>[0-9]{{1,5}}))?")
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[^/]+)(?P<path>(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._~-]+)*)/*", re.IGNORECASE
)
_LONGEST_HOST = 253  # characters (RFC 1035 §2.3.4)
_logger = logging.getLogger(__name__)
_UUID_EXAMPLE = "3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One worker application and the environments it serves: all that a provider needs to know.

    `api_base` ends with `/v1`, without a trailing slash. `api_proxy` and `auth_proxy` are the URLs of the HTTP
    proxies on the way to the hosts of `api_base` and `token_url`. Times are seconds.
    """

    environment_id: str
    client_id: str
    client_secret: SecretStr
    api_base: str
    token_url: str
    cache_dir: Path
    region: str = "NA"
    auth_method: AuthMethod = "client_secret_basic"
    scope: Scope = field(default_factory=Scope)
    attributes: dict[str, str] = field(default_factory=dict[str, str])
    page_size: int = 200
    retry_seconds: float = 30.0
    concurrency: int = 16
    requests_per_second: float | None = None
    api_proxy: str | None = field(default=None, repr=False)  # either may hold a password
    auth_proxy: str | None = field(default=None, repr=False)
    allow_writes: bool = False


class Settings(BaseSettings):
    """The variables of README.md's settings table; each field is `PINGONE_` + its name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=None, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    # `sandbox` comes first: the validators of the required ones look at it.
    sandbox: bool = Field(
        False, description="`1`: serve the embedded sample company; no credentials needed.", examples=["1"]
    )
    environment_id: str = Field(
        "",
        validate_default=True,
        description="Environment that holds the worker application; also the directory served unless "
        "`PINGONE_ENVIRONMENTS` says otherwise.",
        examples=[_UUID_EXAMPLE],
    )
    client_id: str = Field(
        "", validate_default=True, description="The worker application's client id.", examples=[_UUID_EXAMPLE]
    )
    client_secret: SecretStr = Field(
        SecretStr(""),
        validate_default=True,
        description="The worker application's client secret.",
        examples=["the secret shown on the application's Overview tab"],
    )
    environments: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated environment ids to serve, or `all`.",
        examples=["all"],
    )
    populations: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated population ids to serve.", examples=[_UUID_EXAMPLE]
    )
    region: Region = Field(
        "NA", description="Region of the organization: `NA` `CA` `EU` `AU` `SG` `AP`.", examples=["EU"]
    )
    auth_method: AuthMethod = Field(
        "client_secret_basic",
        description="Token endpoint authentication of the application: `client_secret_basic` or `client_secret_post`.",
        examples=["client_secret_basic"],
    )
    custom_domain: str | None = Field(
        None, description="Custom domain of the auth host, where one is set up.", examples=["login.example.com"]
    )
    api_url: str | None = Field(
        None,
        description="Overrides the API base. Plain http only for this machine.",
        examples=["http://127.0.0.1:8010/v1"],
    )
    auth_url: str | None = Field(
        None,
        description="Overrides the auth base. Plain http only for this machine.",
        examples=["http://127.0.0.1:8010"],
    )
    cache_dir: Path | None = Field(
        None,
        description="Folder of the token cache and the local copy.",
        examples=["~/.cache/pingone-mcp"],
    )
    attributes: Annotated[dict[str, str], NoDecode] = Field(
        {"department": "department", "manager": "manager"},
        description="JSON: unified field (`department`, `manager`) -> custom attribute that holds it.",
        examples=['{"department":"costCentre"}'],
    )
    page_size: int = Field(
        200, ge=1, le=1000, description="Users asked for per request to PingOne (1 to 1000).", examples=["200"]
    )
    answer_characters: int = Field(
        20_000, ge=2_000, le=400_000, description="Size budget of one answer to the assistant.", examples=["20000"]
    )
    answer_seconds: float = Field(
        4.0, gt=0, le=300, description="Time budget of one answer to the assistant.", examples=["4"]
    )
    retry_seconds: float = Field(
        30.0, ge=0, le=300, description="Longest total wait for retries of one request.", examples=["30"]
    )
    concurrency: int = Field(
        16, ge=1, le=64, description="Most requests to PingOne at the same time (1 to 64).", examples=["4"]
    )
    requests_per_second: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="Most requests per second to users and groups. Without it the server feels for PingOne's limit.",
        examples=["20"],
    )
    allow_writes: bool = Field(
        False, description="Offer writes through `proxy_request`, each confirmed by a person.", examples=["1"]
    )
    allow_production_writes: bool = Field(
        False, description="Allow them outside environments of type SANDBOX as well.", examples=["1"]
    )
    audit_file: Path | None = Field(
        None, description="File that records every write.", examples=["~/pingone-writes.jsonl"]
    )
    sync_minutes: float | None = Field(
        None,
        ge=1,
        le=10_080,
        description="Minutes between two syncs of the local copy in the background of a running server.",
        examples=["15"],
    )
    full_sync_hours: float = Field(
        24, gt=0, le=336, description="Hours after which a sync reads the whole directory again.", examples=["24"]
    )
    hold_removals_percent: float = Field(
        20,
        ge=0,
        le=100,
        description="How many percent of an environment or a population (and more than 20 users) may be gone in one sync "
        "without audit events; beyond that it is held until a person confirms. 100: never held.",
        examples=["20"],
    )
    population_counts: bool = Field(
        True,
        description="Hold the local copy against PingOne's own count of the users in each population. `0` where those "
        "counts turn out to be late or wrong.",
        examples=["0"],
    )
    replica_minutes: float = Field(
        60,
        gt=0,
        le=20_160,
        description="How old the local copy may be, in minutes, to answer in the place of PingOne.",
        examples=["60"],
    )
    replica_roles: bool = Field(
        False,
        description="Copy the administrator roles of every user too: one more request per user in a full sync.",
        examples=["1"],
    )
    replica_remote_data: bool = Field(
        False, description="Keep PingOne's own objects in the local copy too.", examples=["1"]
    )
    rosters: Path | None = Field(
        None,
        description="Folder with the user lists of applications (CSV or JSON) that `check_drift` may read by name.",
        examples=["~/rosters"],
    )
    roles_file: Path | None = Field(
        None, description="TOML file with the rules of `map_roles`.", examples=["~/roles.toml"]
    )

    @field_validator("environment_id", "client_id", "client_secret", mode="after")
    @classmethod
    def _required_without_sandbox(cls, value: Any, info: ValidationInfo) -> Any:
        if not value and not info.data.get("sandbox"):
            raise PydanticCustomError("missing", "missing")
        return value

    @field_validator("environment_id", mode="after")
    @classmethod
    def _one_id(cls, value: str) -> str:
        return _uuid(value) if value else value

    @field_validator("environments", "populations", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        parts = tuple(part.strip() for part in value.split(",") if part.strip())
        if not parts:  # a fence that was meant to be there must not be open
            raise PydanticCustomError("ids", "holds no id")
        return parts

    @field_validator("environments", "populations", mode="after")
    @classmethod
    def _ids(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.field_name == "environments" and value == (ALL,):
            return value
        return tuple(dict.fromkeys(_uuid(part) for part in value))

    @field_validator("region", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.strip().upper() if isinstance(value, str) else value

    @field_validator("api_url", "auth_url", mode="after")
    @classmethod
    def _base_url(cls, value: str | None) -> str | None:
        return None if value is None else _base(value)

    @field_validator("custom_domain", mode="after")
    @classmethod
    def _host_name(cls, value: str | None) -> str | None:
        if value is None:
            return None
        host = value.strip().rstrip("/")
        if _host(host) is None:
            raise PydanticCustomError("host", "must be a host name without https:// and path")
        return host

    @field_validator("attributes", mode="before")
    @classmethod
    def _json(cls, value: Any) -> Any:
        # Read here: what pydantic-settings fails to decode is no ValidationError, and hides all other errors.
        try:
            return json.loads(value) if isinstance(value, str) else value
        except (ValueError, RecursionError):
            raise PydanticCustomError("json", "must be JSON") from None

    @field_validator("attributes", mode="after")
    @classmethod
    def _known_targets(cls, value: dict[str, str]) -> dict[str, str]:
        if not value.keys() <= {"department", "manager"}:
            raise PydanticCustomError("attributes", "can map department and manager only")
        return value

    @classmethod
    def load(cls, env_file: Path | None = None) -> Settings:
        """Read the environment, and `env_file` below it where one is named.

        Raises Unconfigured with one text that names every missing or wrong variable with an example.
        """
        if env_file is not None:
            _check_env_file(env_file)
        try:
            return cls(_env_file=env_file)
        except ValidationError as error:
            raise Unconfigured(*_explain(error)) from None

    def connection(self) -> Connection:
        """Say where to connect and as whom.

        The token path carries no environment id on a custom domain (PingOne, "Custom domains").
        """
        domain = TOP_LEVEL_DOMAINS[self.region]
        api = self.api_url or f"https://api.pingone.{domain}/v1"
        auth = self.auth_url or f"https://{self.custom_domain or f'auth.pingone.{domain}'}"
        path = "" if self.custom_domain else f"/{self.environment_id}"
        own = (self.environment_id,)
        return Connection(
            environment_id=self.environment_id,
            client_id=self.client_id,
            client_secret=self.client_secret,
            api_base=api,
            token_url=f"{auth}{path}/as/token",
            cache_dir=self.cache_folder(),
            region=self.region,
            auth_method=self.auth_method,
            scope=Scope(
                environments=None if self.environments == (ALL,) else self.environments or own,
                populations=self.populations,
            ),
            attributes=self.attributes,
            page_size=self.page_size,
            retry_seconds=self.retry_seconds,
            concurrency=self.concurrency,
            requests_per_second=self.requests_per_second,
            allow_writes=self.allow_writes,
            api_proxy=_proxy(api),
            auth_proxy=_proxy(auth),
        )

    def audit_path(self) -> Path:
        """Name the file that records writes; it need not exist."""
        return _expanded(self.audit_file) if self.audit_file is not None else _state_folder() / "writes.jsonl"

    def rosters_folder(self) -> Path | None:
        return _expanded(self.rosters) if self.rosters is not None else None

    def roles_path(self) -> Path | None:
        return _expanded(self.roles_file) if self.roles_file is not None else None

    def cache_folder(self) -> Path:
        """Name the folder of the token cache and the local copy; it need not exist."""
        if self.cache_dir is not None:
            return _expanded(self.cache_dir)
        from platformdirs import user_cache_path  # noqa: PLC0415 - start-up: only needed once something is cached

        return user_cache_path("pingone-mcp", appauthor=False)


def _check_env_file(path: Path) -> None:
    """See that a file can be read, and warn where others can read or change what stands in it. Raises Unconfigured."""
    given = f"The file {path} given with --env-file"
    try:
        text = read_named(path, MOST_ENV_BYTES).decode()
        if "\0" in text:
            raise Unconfigured(f"{given} is not a text in UTF-8.")
        if is_open_to_others(path):
            _warn_of_others(path)
    except FileNotFoundError:
        raise Unconfigured(f"{given} does not exist.") from None
    except UnicodeDecodeError:
        raise Unconfigured(f"{given} is not a text in UTF-8.") from None
    except OSError as error:
        raise Unconfigured(f"{given} cannot be read: {error.strerror}.") from None


@functools.cache
def _warn_of_others(path: Path) -> None:
    """Say it once in the life of a process: settings are read again and again."""
    _logger.warning("Others on this machine can read or change %s, which holds the client secret: chmod 600 it.", path)


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise Unconfigured(
            f"{path}, in {setting('cache_dir')} or another setting of a path, begins with the home folder of a user who does not exist."
        ) from None


def _state_folder() -> Path:
    from platformdirs import user_state_path  # noqa: PLC0415 - as above

    return user_state_path("pingone-mcp", appauthor=False)


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise PydanticCustomError("uuid", "must be an id (a UUID)") from None


def _base(text: str) -> str:
    """Read an http or https URL of a host and perhaps a port and a path; every reader takes it for the same (RFC 3986).

    So it is narrower than what a URL may be: no credentials, no query, nothing escaped, no `..`.
    """
    parts = _URL.fullmatch(text.strip())
    host = _host(parts["host"]) if parts is not None else None
    if parts is None or host is None:
        raise PydanticCustomError("base_url", "must be a URL such as https://api.pingone.eu/v1")
    if parts["scheme"].lower() == "http" and not is_loopback(host):
        raise PydanticCustomError("base_url", "must be https (plain http is for this machine only)")
    return f"{parts['scheme'].lower()}://{parts['host'].lower()}{parts['path']}"


def _host(text: str) -> str | None:
    """Return the name (RFC 1123 §2.1, and _) or address of a host that may have a port; None for anything else."""
    parts = _HOST.fullmatch(text)
    if parts is None or len(text) > _LONGEST_HOST or not 0 < int(parts["port"] or 443) < 65_536:
        return None
    host = str(parts["v6"] or parts["name"]).lower()
    try:
        if parts["v6"]:
            ipaddress.IPv6Address(host)
        elif host.rpartition(".")[2].isdigit():
            ipaddress.IPv4Address(host)
        elif "xn--" in host:
            import httpx  # noqa: PLC0415 - start-up: hardly anybody has such a name

            _ = httpx.URL(f"https://{host}").host  # which it decodes (RFC 5891 §4.4)
    except ValueError:
        return None
    return host


def _proxy(url: str) -> str | None:
    """Return the HTTP proxy that the environment (HTTPS_PROXY, NO_PROXY …) names for a URL.

    Raises Unconfigured for one of another kind, without showing it: it may hold a password.
    """
    parts = urlsplit(url)
    if is_loopback(parts.hostname or "") or urllib.request.proxy_bypass(parts.netloc):
        return None
    found = urllib.request.getproxies().get(parts.scheme)
    if not found:
        return None
    proxy = found if "://" in found else f"http://{found}"
    if not _is_proxy(proxy):
        raise Unconfigured(
            f"The proxy that {parts.scheme.upper()}_PROXY names is not an http:// or https:// URL.",
            "Write it like http://proxy.example.com:3128, or except PingOne's hosts with NO_PROXY.",
        )
    return proxy


def _is_proxy(url: str) -> bool:
    """Say whether httpx, which will read it, takes a URL for that of an HTTP proxy."""
    import httpx  # noqa: PLC0415 - start-up: most people have no proxy

    try:
        read = httpx.URL(url)
        port = 443 if read.port is None else read.port
        return read.scheme in ("http", "https") and bool(read.host) and 0 < port < 65_536
    except (httpx.InvalidURL, ValueError):
        return False


def is_loopback(host: str) -> bool:
    """Say whether what is sent to a host stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _explain(error: ValidationError) -> tuple[str, str]:
    """Turn pydantic's errors into a list a person can act on. Values are never shown: one may be the secret."""
    wrong = {str(item["loc"][0]): item["msg"] for item in error.errors(include_url=False, include_input=False)}
    lines: list[str] = []
    for name, what in wrong.items():
        info = Settings.model_fields[name]
        example = (info.examples or [""])[0]
        lines.append(f"  {setting(name)}: {what}. {info.description} Example: {example}")
    noun = "variable is" if len(lines) == 1 else "variables are"
    return (
        "\n".join([f"pingone-mcp is not configured: {len(lines)} {noun} missing or wrong.", *lines, ""]),
        (
            "Set them in the MCP client's configuration, or in a file named with --env-file (see .env.example). "
            f"To try it without PingOne, set {setting('sandbox', '1')}."
        ),
    )
