"""Where settings come from, what they must look like, and that the secret stays one."""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import httpx
import hypothesis
import hypothesis.strategies as st
import pytest
from pydantic import SecretStr, ValidationError

from pingone_mcp.errors import Unconfigured
from pingone_mcp.first_answers import kept
from pingone_mcp.pingone.connection import Connection, connection_of
from pingone_mcp.settings import Settings
from pingone_mcp.settings.parts import (
    TOP_LEVEL_DOMAINS,
    Answers,
    ConnectionSettings,
    CopySettings,
    Credentials,
    Endpoints,
    Pace,
    Part,
    Region,
    ScopeSettings,
    UserAttributes,
)

HOME = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
CLIENT = "33333333-3333-4333-8333-333333333333"
SECRET = "s3cret-of-the-worker-application~"
COMPLETE = {"ENVIRONMENT_ID": HOME, "CLIENT_ID": CLIENT, "CLIENT_SECRET": SECRET}


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(("PINGONE_", "PINGCLI_")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)


def load(monkeypatch: pytest.MonkeyPatch, env_file: Path | None = None, /, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(f"PINGONE_{name}", value)
    return Settings.load(env_file)


def connection(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Connection:
    return connection_of(load(monkeypatch, **{**COMPLETE, **variables}))


def refusal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    with pytest.raises(Unconfigured) as caught:
        load(monkeypatch, **variables)
    return str(caught.value)


def written(folder: Path, name: str = "worker.env", **variables: str) -> Path:
    file = folder / name
    file.write_text("".join(f"PINGONE_{key}={value}\n" for key, value in variables.items()), "utf-8")
    return file


# ----------------------------------------------------------------------------------------------------------- sources


def test_a_dotenv_in_the_current_folder_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, ".env", **COMPLETE, API_URL="https://collector.example/v1")
    monkeypatch.chdir(tmp_path)
    assert "3 variables are missing" in refusal(monkeypatch)
    assert connection(monkeypatch).api_base == "https://api.pingone.com/v1"


def test_a_file_that_is_named_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, written(tmp_path, **COMPLETE, REGION="EU"))
    assert settings.client_id == CLIENT
    assert settings.client_secret.get_secret_value() == SECRET
    assert settings.region == "EU"


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, **COMPLETE, REGION="EU", PAGE_SIZE="10")
    settings = load(monkeypatch, file, REGION="CA")
    assert (settings.region, settings.page_size) == ("CA", 10)


def test_an_empty_value_counts_as_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, **COMPLETE, REGION="EU", PAGE_SIZE="", API_URL="")
    settings = load(monkeypatch, file, REGION="", ATTRIBUTES="", SANDBOX="", CUSTOM_DOMAIN="", ENVIRONMENTS="")
    assert settings.region == "EU"
    assert settings.page_size == 200
    assert settings.attributes == {"department": "department", "manager": "manager"}
    assert connection_of(settings).api_base == "https://api.pingone.eu/v1"


def test_a_file_that_is_not_there_is_said_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unconfigured, match=r"absent\.env given with --env-file does not exist"):
        Settings.load(tmp_path / "absent.env")


def test_a_file_that_is_no_text_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "worker.env"
    file.write_bytes(b"\xff\xfePINGONE_REGION=EU")
    with pytest.raises(Unconfigured, match="UTF-8"):
        Settings.load(file)


# ------------------------------------------------------------------------------------------- names of Ping's own tools


def told(env_file: Path | None = None) -> tuple[Settings, list[str]]:
    """Return the settings, and what is said of those that come to nothing."""
    notes: list[str] = []
    return Settings.load(env_file, notes.append), notes


def set_all(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    "variables",
    [
        {
            "PINGONE_ENVIRONMENT_ID": HOME,
            "PINGONE_CLIENT_ID": CLIENT,
            "PINGONE_CLIENT_SECRET": SECRET,
            "PINGONE_REGION_CODE": "AU",
            "PINGONE_TF_APPEND_USER_AGENT": "ci/1",
        },
        {
            "PINGONE_ENVIRONMENT_ID": HOME,
            "PINGONE_CLIENT_CREDENTIALS_CLIENT_ID": CLIENT,
            "PINGONE_CLIENT_CREDENTIALS_CLIENT_SECRET": SECRET,
            "PINGONE_TOP_LEVEL_DOMAIN": ".com.au",
            "PINGONE_AUTH_GRANT_TYPE": "client_credentials",
        },
        {
            "PINGCLI_PINGONE_ENVIRONMENT_ID": HOME,
            "PINGCLI_PINGONE_CLIENT_CREDENTIALS_CLIENT_ID": CLIENT,
            "PINGCLI_PINGONE_CLIENT_CREDENTIALS_CLIENT_SECRET": SECRET,
            "PINGCLI_PINGONE_ROOT_DOMAIN": "pingone.com.au",
        },
        {
            "PINGCLI_PINGONE_WORKER_ENVIRONMENT_ID": HOME,
            "PINGCLI_PINGONE_WORKER_CLIENT_ID": CLIENT,
            "PINGCLI_PINGONE_WORKER_CLIENT_SECRET": SECRET,
            "PINGCLI_PINGONE_REGION_CODE": "au",
        },
    ],
    ids=["terraform", "the go client", "pingcli", "pingcli 0.8"],
)
@pytest.mark.parametrize("in_file", [False, True], ids=["environment", "file"])
def test_the_names_of_pings_own_tools_are_understood(
    variables: dict[str, str], in_file: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "their.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in variables.items()) if in_file else "")
    file.chmod(0o600)
    if not in_file:
        set_all(monkeypatch, **variables)
    settings, notes = told(file)
    assert (settings.environment_id, settings.client_id, settings.region) == (HOME, CLIENT, "AU")
    assert settings.client_secret.get_secret_value() == SECRET
    assert notes == []


@pytest.mark.parametrize(
    ("name", "value", "api", "auth"),
    [
        ("PINGONE_API_SERVICE_HOSTNAME", "api.example.com", "https://api.example.com/v1", "https://auth.pingone.com"),
        ("PINGONE_AUTH_SERVICE_HOSTNAME", "auth.pingone.eu", "https://api.pingone.com/v1", "https://auth.pingone.eu"),
        ("PINGONE_ROOT_DOMAIN", "pingone.sg", "https://api.pingone.sg/v1", "https://auth.pingone.sg"),
        ("PINGONE_REGION", "Europe", "https://api.pingone.eu/v1", "https://auth.pingone.eu"),
        ("PINGONE_REGION", "asia_pacific", "https://api.pingone.asia/v1", "https://auth.pingone.asia"),
    ],
)
def test_hosts_are_understood_as_pings_tools_name_them(
    name: str, value: str, api: str, auth: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    found = connection(monkeypatch)
    assert (found.api_base, found.token_url) == (api, f"{auth}/{HOME}/as/token")


def test_a_custom_domain_of_terraform_is_a_custom_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINGONE_AUTH_SERVICE_HOSTNAME", "login.example.com")
    assert connection(monkeypatch).token_url == "https://login.example.com/as/token"


def test_a_name_of_ours_wins_over_theirs_wherever_it_stands_and_a_conflict_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, **COMPLETE, REGION="EU")
    file.chmod(0o600)
    set_all(
        monkeypatch, PINGONE_REGION_CODE="CA", PINGONE_TOP_LEVEL_DOMAIN=".eu", PINGCLI_PINGONE_WORKER_CLIENT_ID=CLIENT
    )
    settings, notes = told(file)
    assert settings.region == "EU"
    assert notes == [
        f"PINGONE_REGION in the file {file} counts; PINGONE_REGION_CODE in the environment says something else."
    ]


def test_what_says_the_same_in_other_words_is_no_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, PINGONE_REGION="NorthAmerica", PINGONE_REGION_CODE="na", PINGONE_TOP_LEVEL_DOMAIN=".com")
    set_all(monkeypatch, PINGONE_API_URL="https://API.example.com/v1/", PINGONE_API_DOMAIN="api.example.com")
    set_all(monkeypatch, **{f"PINGONE_{name}": value for name, value in COMPLETE.items()})
    set_all(monkeypatch, PINGCLI_PINGONE_ENVIRONMENT_ID=HOME.upper())
    assert told()[1] == []


def test_two_of_their_names_that_contradict_each_other_are_said_without_a_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_all(
        monkeypatch,
        PINGCLI_PINGONE_CLIENT_CREDENTIALS_CLIENT_SECRET="s3cret-a",
        PINGCLI_PINGONE_WORKER_CLIENT_SECRET="s3cret-b",
    )
    set_all(monkeypatch, PINGONE_ENVIRONMENT_ID=HOME, PINGONE_CLIENT_ID=CLIENT)
    settings, (note,) = told()
    assert settings.client_secret.get_secret_value() == "s3cret-a"
    assert "PINGCLI_PINGONE_WORKER_CLIENT_SECRET in the environment says something else" in note
    assert "s3cret" not in note


# ---------------------------------------------------------------------------------------------------------- mistyped


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("PINGONE_REGIN", "Did you mean PINGONE_REGION?"),
        ("pingone_client_secert", "Did you mean PINGONE_CLIENT_SECRET?"),
        ("PINGONE_TOPLEVEL_DOMAIN", "Did you mean PINGONE_TOP_LEVEL_DOMAIN?"),
        ("PINGONE_ZZZ", "It is left out."),
    ],
)
def test_a_variable_that_is_no_setting_is_said_with_the_nearest_and_without_its_value(
    name: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "s3cret")
    file = tmp_path / "my.env"
    file.write_text("".join(f"PINGONE_{key}={value}\n" for key, value in COMPLETE.items()) + f"{name}=s3cret\n")
    file.chmod(0o600)
    _, notes = told(file)
    whose = f"{name.upper()} in the environment", f"{name.upper()} in the file {file}"
    assert notes == [f"{one} is no setting of pingone-mcp. {hint}" for one in whose]


def test_what_other_programs_read_in_the_same_file_is_nobodys_mistake(tmp_path: Path) -> None:
    file = tmp_path / "my.env"
    ours = "".join(f"PINGONE_{key}={value}\n" for key, value in COMPLETE.items())
    file.write_text(f"{ours}AWS_REGION=x\nPINGONE_API_ACCESS_TOKEN=x\nPINGNOE_REGION=EU\nPATH=/bin\n")
    file.chmod(0o600)
    _, notes = told(file)
    assert notes == [f"PINGNOE_REGION in the file {file} is no setting of pingone-mcp. Did you mean PINGONE_REGION?"]


def test_a_line_of_a_file_that_sets_nothing_is_said_without_what_stands_in_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "my.env"
    file.write_text("\ufeff# mine\nPINGONE_SANDBOX=1\nPINGONE_REGION: EU\n\nhush hush\nexport PINGONE_PAGE_SIZE = 5\n")
    settings, notes = told(file)
    assert (settings.page_size, settings.sandbox) == (5, True)
    assert notes == [
        f"Line {line} of the file {file} is not of the form NAME=value. It is left out." for line in (3, 5)
    ]
    assert "dotenv" not in caplog.text


@pytest.mark.parametrize("around", ["'{}'", '"{}"', " {} ", "{}\r", "' {}'\n"])
def test_what_a_container_leaves_around_a_value_is_none_of_it(around: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {name: around.format(value) for name, value in {**COMPLETE, "REGION": "EU"}.items()}
    settings = load(monkeypatch, None, **given)
    assert settings.client_secret.get_secret_value() == SECRET
    assert (settings.client_id, settings.region) == (CLIENT, "EU")


def test_it_is_logged_once_where_nobody_else_listens(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PINGONE_LOGGED_ONCE", "x")
    for _ in range(3):
        load(monkeypatch, **COMPLETE)
    assert [record.getMessage().split()[0] for record in caplog.records] == ["PINGONE_LOGGED_ONCE"]


def test_an_error_says_where_the_value_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, ENVIRONMENT_ID="x", REGION="EU", PAGE_SIZE="0")
    file.chmod(0o600)
    set_all(monkeypatch, PINGONE_PAGE_SIZE="many", PINGONE_TOP_LEVEL_DOMAIN=".mars", PINGONE_REGIN="EU")
    with pytest.raises(Unconfigured) as caught:
        Settings.load(file)
    said = {one.partition(":")[0]: one for one in str(caught.value).splitlines()}
    assert f"(given in the file {file})" in said["  PINGONE_ENVIRONMENT_ID"]
    assert "(given in the environment)" in said["  PINGONE_PAGE_SIZE"]
    assert f"missing (neither in the environment nor in the file {file})" in said["  PINGONE_CLIENT_ID"]
    assert "PINGONE_REGIN in the environment is no setting" in said["  Note"]


def test_an_error_says_by_which_name_of_theirs_the_value_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINGONE_TOP_LEVEL_DOMAIN", ".mars")
    assert "(given in the environment, as PINGONE_TOP_LEVEL_DOMAIN)" in refusal(monkeypatch, **COMPLETE)


# ------------------------------------------------------------------------------------------------------------ errors


def test_one_error_names_every_missing_and_every_wrong_variable_with_an_example(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = refusal(
        monkeypatch,
        CLIENT_SECRET=SECRET,
        ENVIRONMENT_ID="not-an-id",
        ENVIRONMENTS="all,x",
        POPULATIONS="y",
        REGION="MARS",
        AUTH_METHOD="magic",
        CUSTOM_DOMAIN="https://login.example.com/x",
        API_URL="http://api.example.com/v1",
        AUTH_URL="gopher://x",
        ATTRIBUTES="{broken",
        PAGE_SIZE="0",
        ANSWER_CHARACTERS="many",
        ANSWER_SECONDS="0",
        RETRY_SECONDS="-1",
        ALLOW_WRITES="perhaps",
    )
    assert told.startswith("pingone-mcp is not configured: 15 variables are missing or wrong.\n")
    wrong = {line.strip().partition(":")[0]: line for line in told.splitlines() if line.startswith("  PINGONE_")}
    assert set(wrong) == {
        f"PINGONE_{name}"
        for name in "ENVIRONMENT_ID CLIENT_ID ENVIRONMENTS POPULATIONS REGION AUTH_METHOD CUSTOM_DOMAIN API_URL AUTH_URL "
        "ATTRIBUTES PAGE_SIZE ANSWER_CHARACTERS ANSWER_SECONDS RETRY_SECONDS ALLOW_WRITES".split()
    }
    assert all(line.rpartition("Example: ")[2] for line in wrong.values())
    assert "--env-file" in told
    assert "PINGONE_SANDBOX=1" in told


def test_a_single_missing_variable_is_told_in_the_singular(monkeypatch: pytest.MonkeyPatch) -> None:
    told = refusal(monkeypatch, ENVIRONMENT_ID=HOME, CLIENT_ID=CLIENT)
    assert "1 variable is missing or wrong" in told
    assert "PINGONE_CLIENT_SECRET: missing." in told


@pytest.mark.parametrize(
    "name",
    sorted(
        set(Settings.model_fields) - {"client_id", "client_secret", "cache_dir", "audit_file", "rosters", "roles_file"}
    ),
)
@pytest.mark.parametrize(
    "value", ["s3cret", '{"s3cret": "s3cret"}', "https://s3cret℀.example", "https://s3cret@[::1", "[s3cret"]
)
def test_no_value_is_ever_repeated(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if (name, value) == ("custom_domain", "s3cret"):
        return  # a host name like any other
    with pytest.raises(Unconfigured) as caught:
        load(monkeypatch, **{**COMPLETE, name.upper(): value})
    assert "s3cret" not in str(caught.value) + repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_the_secret_is_in_no_repr_and_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, **COMPLETE)
    shown = (
        f"{settings!r} {settings!s} {connection_of(settings)!r} {connection_of(settings)!s} {settings.model_dump()!r}"
    )
    assert SECRET not in shown + settings.model_dump_json()


def test_the_secret_is_in_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    told = refusal(monkeypatch, CLIENT_SECRET=SECRET, REGION=SECRET, ENVIRONMENT_ID=SECRET)
    assert SECRET not in told


# ------------------------------------------------------------------------------------------------------------- hosts


@pytest.mark.parametrize(
    ("region", "domain"),
    [("NA", "com"), ("CA", "ca"), ("EU", "eu"), ("AU", "com.au"), ("SG", "sg"), ("AP", "asia"), (" eu ", "eu")],
)
def test_a_region_names_its_hosts(region: str, domain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = connection(monkeypatch, REGION=region)
    assert found.api_base == f"https://api.pingone.{domain}/v1"
    assert found.token_url == f"https://auth.pingone.{domain}/{HOME}/as/token"


def test_every_region_has_a_domain() -> None:
    assert set(TOP_LEVEL_DOMAINS) == set(get_args(Region))


def test_a_custom_domain_has_a_token_path_without_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    found = connection(monkeypatch, CUSTOM_DOMAIN="login.example.com", REGION="EU")
    assert found.token_url == "https://login.example.com/as/token"
    assert found.api_base == "https://api.pingone.eu/v1"


@pytest.mark.parametrize(
    "host",
    ["https://login.example.com", "login.example.com/as", "a@b.example", "b.example?x", "b.example#x", "a b", "@"],
)
def test_a_custom_domain_is_a_host_name_and_no_more(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "PINGONE_CUSTOM_DOMAIN: must be a host name" in refusal(monkeypatch, **COMPLETE, CUSTOM_DOMAIN=host)


@pytest.mark.parametrize("name", ["API_URL", "AUTH_URL"])
@pytest.mark.parametrize(
    "url",
    [
        "http://api.pingone.eu/v1",
        "http://127.0.0.1.evil.test/v1",
        "http://localhost.evil.test/v1",
        "http://127.0.0.1@evil.test/v1",
        "http://0.0.0.0/v1",
        "http://10.0.0.1/v1",
        "https://user:password@api.pingone.eu/v1",
        "https://api.pingone.eu/v1?x=1",
        "https://api.pingone.eu/v1#x",
        "https://api.pingone.eu:99999/v1",
        "https://",
        "https:///v1",
        "https://[::1",
        "//api.pingone.eu/v1",
        "api.pingone.eu/v1",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://[::1]evil.com/v1",
        "http://[::1].evil.com/v1",
        "https://api.pingone.eu\n.evil.com/v1",
        "https://api.pingone.eu\t/v1",
        "https://api.pingone.eu /v1",
        "https://api.pingone.eu/v1\x1b[2J",
        "https://api.pingone.eu/v1/../v2",
        "https://api.pingone.eu/v1/%2e%2e",
        "https://api.pingone.eu\\@evil.com/v1",
        "https://user@api.pingone.eu/v1",
        "https://api.pingone.eu:0/v1",
        "https://api..eu/v1",
        "https://-api.eu/v1",
        f"https://{'a' * 64}.eu/v1",
        "https://999.1.1.1/v1",
        "https://127.1/v1",
        "https://2130706433/v1",
        "https://xn--a/v1",
        "https://[fe80::1%25eth0]/v1",
        "https://\u0430pi.pingone.eu/v1",
        "https://api\u3002pingone.eu/v1",
    ],
)
def test_a_base_that_is_not_safe_is_refused(name: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = refusal(monkeypatch, **{**COMPLETE, name: url})
    assert f"PINGONE_{name}: must be" in told
    assert "Value error" not in told


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8010/v1",
        "http://localhost:8010/v1/",
        "http://[::1]:8010/v1",
        "http://127.9.9.9/v1",
        "https://b.example/v1",
    ],
)
def test_a_base_may_be_this_machine_or_https(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = connection(monkeypatch, API_URL=f" {url} ", AUTH_URL=url.replace("/v1", ""))
    assert found.api_base == url.rstrip("/")
    assert found.token_url == f"{url.rpartition('/v1')[0]}/{HOME}/as/token"


@pytest.mark.parametrize(
    "host", ["login.example.com\n.evil.com", "login.example.com:0", "999.1.1.1", "[::1]x", "a@b", "a b"]
)
def test_a_custom_domain_is_a_host(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "PINGONE_CUSTOM_DOMAIN: must be a host name" in refusal(monkeypatch, **COMPLETE, CUSTOM_DOMAIN=host)


_PIECES = st.sampled_from(
    [
        *"http https HTTPS : / // ? # @ [ ] [::1] [::ffff:1.2.3.4] %2e %00 .. . - _ ; \\ , 0 1 127.0.0.1 1.1 443 65536 localhost api "
        "pingone.eu evil.com v1 xn--bcher-kva xn-- as é \u3002 \u2024 \u202e ℀".split(),
        " ",
        "\n",
        "\t",
        "\r",
        "\x1b",
        "\x85",
        "\x7f",
        "\u2028",
        "a" * 63,
        "a" * 64,
        "a." * 130,
    ]
)
_URLS = st.one_of(
    st.builds("".join, st.lists(_PIECES, max_size=12)),
    st.builds(
        "{}://{}{}".format,
        st.sampled_from(["http", "https"]),
        st.builds("".join, st.lists(_PIECES, max_size=5)),
        _PIECES,
    ),
    st.builds("https://{}/{}".format, st.text(max_size=12), st.text(max_size=6)),
)


def _accepted(url: str) -> Settings | None:
    """Return settings with this URL; None where it is refused, and nothing else is said to be wrong."""
    own = {"environment_id": HOME, "client_id": CLIENT, "client_secret": SecretStr(SECRET)}
    try:
        return Settings.model_validate(own | {"api_url": url, "auth_url": url})
    except ValidationError as error:
        wrong = {item["type"] for item in error.errors()}
    assert wrong == {"base_url"}
    return None


@hypothesis.given(url=_URLS)
def test_every_reader_takes_a_url_that_is_accepted_for_the_same(url: str) -> None:
    settings = _accepted(url)
    if settings is None:
        return
    made = connection_of(settings)
    for text in (made.api_base, made.token_url):
        ours, library, standard = text.split("/")[2], httpx.URL(text), urllib.parse.urlsplit(text)
        name = re.sub(r":\d+$", "", ours).strip("[]")
        assert [library.raw_host.decode(), standard.hostname] == [name, name]
        assert library.raw_path.decode() == (standard.path or "/")
        assert library.port in {standard.port, None}
        assert httpx.Request("GET", library).headers["host"].partition(":")[0] == ours.partition(":")[0]
    assert url.strip().rstrip("/").lower() == str(settings.api_url).lower(), "what is used is what was written"


@hypothesis.given(name=st.sampled_from(sorted(Settings.model_fields)), value=st.text(max_size=40))
def test_any_text_in_any_setting_is_a_setting_or_a_sentence(
    name: str, value: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    variables = {**COMPLETE, name.upper(): "'" + re.sub(r"['\\\0]|[\ud800-\udfff]", "", value) + "'"}
    file = written(tmp_path_factory.getbasetemp(), **variables)
    file.chmod(0o600)
    with suppress(Unconfigured):
        settings = Settings.load(file)
        connection_of(settings)
        settings.audit_path()
        settings.rosters_folder()
        settings.roles_path()


# ---------------------------------------------------------------------------------------------------------- env files


def _pipe(file: Path) -> None:
    os.mkfifo(file)


def _with_a_zero(file: Path) -> None:
    file.write_bytes(b"PINGONE_REGION=E\0U\n")


def _huge(file: Path) -> None:
    with file.open("wb") as opened:
        opened.truncate(10_000_000_000)


def _device(file: Path) -> None:
    file.symlink_to("/dev/zero")


@pytest.mark.skipif(os.name != "posix", reason="pipes, devices and sparse files")
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Path.mkdir, "cannot be read"),
        (_pipe, "cannot be read: it is no file"),
        (_device, "cannot be read: it is no file"),
        (_huge, "larger than 65,536 bytes"),
        (_with_a_zero, "is not a text"),
    ],
)
def test_what_is_no_file_of_settings_is_said_at_once(make: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    make(tmp_path / "my.env")
    with pytest.raises(Unconfigured, match=rf"my\.env given with --env-file .*{said}"):
        Settings.load(tmp_path / "my.env")
    kept(tmp_path / "my.env")  # nor does what runs before the settings wait for a pipe, or read for ever


@pytest.mark.skipif(os.name != "posix", reason="access lists instead of modes")
@pytest.mark.parametrize("mode", [0o644, 0o620, 0o602, 0o666, 0o600, 0o400])
def test_a_file_of_settings_that_others_can_read_or_change_is_warned_of_once(
    mode: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = written(tmp_path, f"{mode:o}.env", **COMPLETE)
    file.chmod(mode)
    for _ in range(3):
        Settings.load(file)
    warned = [message for message in caplog.messages if "chmod 600" in message and file.name in message]
    assert len(warned) == (1 if mode & 0o077 else 0)


# ----------------------------------------------------------------------------------------------------- what is served


def test_the_own_environment_is_served_unless_others_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = connection(monkeypatch)
    assert found.scope.environments == (HOME,)
    assert found.scope.populations == ()


def test_all_means_every_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection(monkeypatch, ENVIRONMENTS=" all ").scope.environments is None


def test_lists_of_ids_are_cleaned_and_hold_each_id_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = connection(
        monkeypatch, ENVIRONMENTS=f" {OTHER.upper()} ,{HOME},, {OTHER}", POPULATIONS=f"{HOME},{HOME.upper()},"
    )
    assert found.scope.environments == (OTHER, HOME)
    assert found.scope.populations == (HOME,)


@pytest.mark.parametrize("listed", ["x", f"{HOME};{OTHER}", f"all,{HOME}", f"{HOME},all", "../users"])
def test_a_list_of_anything_else_is_refused(listed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "PINGONE_ENVIRONMENTS: must be an id" in refusal(monkeypatch, **COMPLETE, ENVIRONMENTS=listed)
    assert "PINGONE_POPULATIONS: must be an id" in refusal(monkeypatch, POPULATIONS=listed)


def test_all_is_no_population(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "PINGONE_POPULATIONS: must be an id" in refusal(monkeypatch, **COMPLETE, POPULATIONS="all")


def test_the_sandbox_needs_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, SANDBOX="1")
    assert settings.sandbox
    assert not settings.client_secret.get_secret_value()


def test_a_sandbox_switched_off_needs_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "3 variables are missing" in refusal(monkeypatch, SANDBOX="0")


def test_attributes_name_the_custom_attributes_to_map(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection(monkeypatch, ATTRIBUTES='{"department":"costCentre"}').attributes == {"department": "costCentre"}


@pytest.mark.parametrize("text", ["{", "[]", "7", '{"department": 1}', '{"title": "x"}', '"department"', "null"])
def test_attributes_that_are_no_map_of_known_fields_are_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = refusal(monkeypatch, **COMPLETE, ATTRIBUTES=text)
    assert told.count("PINGONE_ATTRIBUTES: ") == 1
    assert 'Example: {"department":"costCentre"}' in told


def test_the_cache_folder_is_the_platforms_unless_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection(monkeypatch).cache_dir.name == "pingone-mcp"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert connection(monkeypatch, CACHE_DIR="~/tokens").cache_dir == tmp_path / "tokens"


# ------------------------------------------------------------------------------------------------------------- proxy


PROXY = "http://proxy.example:3128"


def proxies(monkeypatch: pytest.MonkeyPatch, **variables: str) -> tuple[str | None, str | None]:
    """Return the proxies on the way to the API and to the token endpoint."""
    made = connection(monkeypatch, **variables)
    return made.proxies.api, made.proxies.auth


def test_pingone_is_reached_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    assert proxies(monkeypatch) == (PROXY, PROXY)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8010/v1", "http://localhost:8010/v1", "https://[::1]:8010/v1"])
def test_this_machine_is_never_reached_through_a_proxy(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    assert proxies(monkeypatch, API_URL=url) == (None, PROXY)
    assert proxies(monkeypatch, API_URL="https://api.pingone.com/v1", AUTH_URL=url) == (PROXY, None)


@pytest.mark.parametrize("names", ["pingone.com", ".pingone.com", "*", "other.example, pingone.com"])
def test_no_proxy_is_kept(names: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", names)
    assert proxies(monkeypatch) == (None, None)
    other = None if names == "*" else PROXY
    assert proxies(monkeypatch, API_URL="https://b.example/v1") == (other, None)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ("api.pingone.com", (None, PROXY)),
        ("auth.pingone.com", (PROXY, None)),
        ("auth.pingone.com:8443", (PROXY, PROXY)),
    ],
)
def test_each_host_is_reached_in_its_own_way(
    names: str, found: tuple[str | None, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", names)
    assert proxies(monkeypatch) == found


def test_no_proxy_may_name_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", "login.example.com:8443")
    assert proxies(monkeypatch, AUTH_URL="https://login.example.com:8443") == (PROXY, None)
    assert proxies(monkeypatch, AUTH_URL="https://login.example.com") == (PROXY, PROXY)


@pytest.mark.parametrize(
    "proxy",
    [
        "socks5://user:pass-word@proxy.example:1080",
        "http://user:pass-word@proxy.ex\nample:3128",
        "http://user:pass-word@[::1]evil.example:3128",
        "http://user:pass-word@proxy\N{SNOWMAN}.example:3128",
        "http://user:pass-word@xn--a.example:3128",
        "http://user:pass-word@proxy.example:99999",
        "http://user:pass-word@proxy.example:0",
        "http://user:pass-word@",
        "[::1",
    ],
)
def test_a_proxy_that_is_none_is_one_sentence_without_its_password(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(
        Unconfigured, match=r"The proxy that HTTPS_PROXY names is not an http:// or https:// URL\."
    ) as told:
        proxies(monkeypatch)
    assert "pass-word" not in str(told.value)


def test_the_password_of_a_proxy_is_not_in_what_a_connection_looks_like(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:pass-word@proxy.example:3128")
    made = connection(monkeypatch)
    assert made.proxies.api is not None
    assert "pass-word" not in repr(made)


# ------------------------------------------------------------------------------------------------------------- parts


PARTS = [part for part in ConnectionSettings.__mro__ if issubclass(part, Part) and Part in part.__bases__]


def test_each_setting_belongs_to_one_part() -> None:
    names = [name for part in PARTS for name in part.model_fields]
    assert sorted(names) == sorted(Settings.model_fields)


@pytest.mark.parametrize("kind", PARTS, ids=lambda kind: kind.__name__)
def test_a_part_alone_holds_its_own_settings_and_comes_back_whole(
    kind: type[Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is stored with one connection, and shown as an object to edit."""
    part = load(monkeypatch, **COMPLETE, PAGE_SIZE="7", POPULATIONS=OTHER, SYNC_MINUTES="5").part(kind)
    assert type(part) is kind
    assert set(dict(part)) == set(kind.model_fields)
    assert kind.model_validate(dict(part)) == part
    assert SECRET not in f"{part!r} {part.model_dump_json()}"


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Credentials, {"environment_id": HOME, "client_id": CLIENT}),
        (Credentials, {"environment_id": "x", "client_id": CLIENT, "client_secret": SECRET}),
        (ScopeSettings, {"populations": ["x"]}),
        (Endpoints, {"api_url": "http://api.example.com/v1"}),
        (UserAttributes, {"attributes": {"title": "title"}}),
        (Pace, {"page_size": 0}),
        (Answers, {"answer_seconds": 0}),
        (CopySettings, {"hold_removals_percent": 101}),
    ],
)
def test_a_part_alone_refuses_what_the_whole_refuses(kind: type[Part], wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(wrong)
    assert "s3cret" not in str(caught.value)


def test_parts_make_a_whole_without_any_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINGONE_PAGE_SIZE", "7")
    own = Credentials(environment_id=HOME, client_id=CLIENT, client_secret=SecretStr(SECRET))
    made = ConnectionSettings.model_validate({**dict(own), **dict(Pace(concurrency=3))})
    assert (made.page_size, made.concurrency) == (200, 3)
    assert connection_of(made).scope.environments == (HOME,)
