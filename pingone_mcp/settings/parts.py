"""The settings in parts: each a model that checks its own values, wherever they come from, and is of use alone.

A setting has one name everywhere: `PINGONE_` and that name in capitals is its variable. Failures are pydantic's
ValidationError; no message repeats a value, which may be a secret in the wrong place.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode

from pingone_mcp.advice import setting
from pingone_mcp.directory.scope import Scope
from pingone_mcp.errors import Unconfigured
from pingone_mcp.settings.addresses import base_url, host_name

Region = Literal["NA", "CA", "EU", "AU", "SG", "AP"]
# Top-level domain per region: PingOne Platform API, "PingOne API domains".
TOP_LEVEL_DOMAINS: Mapping[Region, str] = MappingProxyType(
    {"NA": "com", "CA": "ca", "EU": "eu", "AU": "com.au", "SG": "sg", "AP": "asia"}
)
# What Terraform's provider for PingOne took before it took codes (its "version 1 upgrade guide").
_REGION_WORDS: Mapping[str, Region] = MappingProxyType(
    {"northamerica": "NA", "canada": "CA", "europe": "EU", "asiapacific": "AP"}
)
AuthMethod = Literal["client_secret_basic", "client_secret_post"]

ALL = "all"
_UUID_EXAMPLE = "3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10"


P = TypeVar("P", bound="Part")


class Part(BaseModel):
    """Some settings that belong together."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class Sample(Part):
    """Whether there is a PingOne at all; it comes first, because the credentials look at it."""

    sandbox: bool = Field(
        False, description="`1`: serve the embedded sample company; no credentials needed.", examples=["1"]
    )


class Credentials(Part):
    """Who asks: one worker application."""

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


class ScopeSettings(Part):
    """What is served."""

    environments: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated environment ids to serve, or `all`.",
        examples=["all"],
    )
    populations: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated population ids to serve.", examples=[_UUID_EXAMPLE]
    )

    def scope(self, home: str) -> Scope:
        """Return what is served; where no environment is named, that is `home`, which holds the application."""
        environments = None if self.environments == (ALL,) else self.environments or (home,)
        return Scope(environments=environments, populations=self.populations)

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


class Endpoints(Part):
    """Where PingOne is, and how its token endpoint takes the credentials."""

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

    @field_validator("region", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return region_code(value) if isinstance(value, str) else value

    @field_validator("api_url", "auth_url", mode="after")
    @classmethod
    def _base_url(cls, value: str | None) -> str | None:
        return None if value is None else base_url(value)

    @field_validator("custom_domain", mode="after")
    @classmethod
    def _host_name(cls, value: str | None) -> str | None:
        if value is None:
            return None
        host = value.strip().rstrip("/")
        if host_name(host) is None:
            raise PydanticCustomError("host", "must be a host name without https:// and path")
        return host


class CacheFolder(Part):
    """Where what can be had again lies."""

    cache_dir: Path | None = Field(
        None,
        description="Folder of the token cache and the local copy.",
        examples=["~/.cache/pingone-mcp"],
    )

    def cache_folder(self) -> Path:
        """Name the folder of the token cache and the local copy; it need not exist. Raises Unconfigured."""
        if self.cache_dir is not None:
            return expanded(self.cache_dir)
        from platformdirs import user_cache_path  # noqa: PLC0415 - start-up: only needed once something is cached

        return user_cache_path("pingone-mcp", appauthor=False)


class UserAttributes(Part):
    """Where a provider keeps what the unified user has and its own does not."""

    attributes: Annotated[dict[str, str], NoDecode] = Field(
        {"department": "department", "manager": "manager"},
        description="JSON: unified field (`department`, `manager`) -> custom attribute that holds it.",
        examples=['{"department":"costCentre"}'],
    )

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


class Pace(Part):
    """How much is asked of a provider at a time, and how long it is asked again. Times are seconds."""

    page_size: int = Field(
        200, ge=1, le=1000, description="Users asked for per request to PingOne (1 to 1000).", examples=["200"]
    )
    retry_seconds: float = Field(
        30.0, ge=0, le=300, description="Longest total wait for retries of one request.", examples=["30"]
    )
    request_seconds: float = Field(
        30.0,
        gt=0,
        le=300,
        description="Longest wait for the whole answer to one request; `call` waits for 10, unless this is set.",
        examples=["60"],
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


class Answers(Part):
    """How large an answer may be, and how long it may take."""

    answer_characters: int = Field(
        20_000, ge=2_000, le=400_000, description="Size budget of one answer to the assistant.", examples=["20000"]
    )
    answer_seconds: float = Field(
        4.0, gt=0, le=300, description="Time budget of one answer to the assistant.", examples=["4"]
    )


class Writes(Part):
    """Whether anything may be changed, and where it is written down."""

    allow_writes: bool = Field(
        False, description="Offer writes through `proxy_request`, each confirmed by a person.", examples=["1"]
    )
    allow_production_writes: bool = Field(
        False, description="Allow them outside environments of type SANDBOX as well.", examples=["1"]
    )
    audit_file: Path | None = Field(
        None, description="File that records every write.", examples=["~/pingone-writes.jsonl"]
    )

    def audit_path(self) -> Path:
        """Name the file that records writes; it need not exist. Raises Unconfigured."""
        if self.audit_file is not None:
            return expanded(self.audit_file)
        from platformdirs import user_state_path  # noqa: PLC0415 - start-up: only needed where writes are allowed

        return user_state_path("pingone-mcp", appauthor=False) / "writes.jsonl"


class CopySettings(Part):
    """How the local copy is kept, and what it holds."""

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


class GivenFiles(Part):
    """What the person who runs the server has laid out for it."""

    rosters: Path | None = Field(
        None,
        description="Folder with the user lists of applications (CSV or JSON) that `check_drift` may read by name.",
        examples=["~/rosters"],
    )
    roles_file: Path | None = Field(
        None, description="TOML file with the rules of `map_roles`.", examples=["~/roles.toml"]
    )

    def rosters_folder(self) -> Path | None:
        """Name the folder of rosters; it need not exist. Raises Unconfigured."""
        return expanded(self.rosters) if self.rosters is not None else None

    def roles_path(self) -> Path | None:
        """Name the file of rules; it need not exist. Raises Unconfigured."""
        return expanded(self.roles_file) if self.roles_file is not None else None


# pydantic takes fields from the last base to the first: in that order they are checked, and stand in README.md.
class ConnectionSettings(
    GivenFiles,
    CopySettings,
    Writes,
    Answers,
    Pace,
    UserAttributes,
    CacheFolder,
    Endpoints,
    ScopeSettings,
    Credentials,
    Sample,
):
    """All that is configured of one connection."""

    def part(self, kind: type[P]) -> P:
        """Return one part alone, without what stands in the others; what was not set in this is not in that."""
        values: Any = {name: getattr(self, name) for name in kind.model_fields if name in self.model_fields_set}
        return kind(**values)


def region_code(text: str) -> str:
    """Return the code of a region, which may be given by its name too; what is neither, in capitals."""
    word = "".join(filter(str.isalpha, text.casefold()))
    return _REGION_WORDS.get(word) or text.strip().upper()


def expanded(path: Path) -> Path:
    """Return a path that a person gave, `~` replaced. Raises Unconfigured."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise Unconfigured(
            f"{path}, in {setting('cache_dir')} or another setting of a path, begins with the home folder of a user who does not exist."
        ) from None


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise PydanticCustomError("uuid", "must be an id (a UUID)") from None
