"""`pingone-mcp check` says in plain words what works, which part does not, and what to change."""

from __future__ import annotations

import json

import pytest

from pingone_mcp.directory.rights import AUDIT, GROUPS, POPULATIONS, ROLES, USERS, Right
from pingone_mcp.sandbox.company.roles import Narrowing
from tests.process.inside import inside
from tests.process.programs import Ended, Served, bare, run
from tests.process.test_secrets import closed_port

UNKNOWN = "00000000-0000-4000-8000-000000000001"


def check(served: Served, *options: str, **changes: str) -> Ended:
    return looked_at(inside("check", *options, env=served.variables(**changes)))


def looked_at(end: Ended) -> Ended:
    assert "Traceback" not in end.err + end.out
    assert "\x1b" not in end.out, "colours are for terminals"
    return end


def lines(end: Ended, mark: str) -> list[str]:
    return [line for line in end.out.splitlines() if line.startswith(mark)]


def test_a_good_connection(served: Served) -> None:
    end = looked_at(run("check", env=served.variables()))
    assert (end.status, end.err) == (0, "")
    assert [line.split(":")[0].split()[1] for line in lines(end, "ok")] == [
        "region",
        "token",
        "environment",
        "users",
        "populations",
        "groups",
        "members",
        "role",
        "audit",
    ]
    assert "readable, 60" in end.out
    assert "This connection works." in end.out


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"PINGONE_CLIENT_SECRET": "wrong"}, "PINGONE_CLIENT_SECRET"),
        ({"PINGONE_CLIENT_ID": UNKNOWN}, "PINGONE_CLIENT_ID"),
        ({"PINGONE_ENVIRONMENT_ID": UNKNOWN}, "PINGONE_ENVIRONMENT_ID"),
        ({"PINGONE_ENVIRONMENTS": UNKNOWN}, "PINGONE_ENVIRONMENTS"),
        ({"PINGONE_POPULATIONS": UNKNOWN}, "PINGONE_POPULATIONS"),
        ({"PINGONE_AUTH_METHOD": "client_secret_post"}, "PINGONE_AUTH_METHOD=client_secret_basic"),
    ],
    ids=["secret", "client", "home environment", "served environment", "population", "method"],
)
def test_what_is_wrong_is_named_by_the_variable_to_change(served: Served, changes: dict[str, str], names: str) -> None:
    end = check(served, **changes)
    failed = lines(end, "failed")
    assert end.status == 1
    assert len(failed) == 1, "one sentence"
    assert names in failed[0]
    assert "This connection does not work yet." in end.out


def test_what_there_is_is_shown_beside_what_does_not_exist(served: Served) -> None:
    known = next(iter(served.sandbox.state().populations.values()))
    (failed,) = lines(check(served, PINGONE_POPULATIONS=UNKNOWN), "failed")
    assert f'"{known["name"]}" ({known["id"]})' in failed
    here = served.sandbox.company.main
    assert f'the credentials see "{here.name}" ({here.id})' in check(served, PINGONE_ENVIRONMENTS=UNKNOWN).out


def test_a_token_from_before_does_not_hide_that_the_credentials_are_no_longer_accepted(served: Served) -> None:
    secret = served.sandbox.client_secret
    inside("call", "list_users", "limit=1", env=served.variables()).json()
    served.sandbox.application.client_secret = "rotated"
    end = check(served, PINGONE_CLIENT_SECRET=secret)
    assert end.status == 1
    assert "PINGONE_CLIENT_SECRET" in lines(end, "failed")[0]


def test_a_token_that_another_region_does_not_accept_names_the_region(served: Served) -> None:
    served.sandbox.faults.add("token_revoked", times=None)
    end = check(served)
    assert end.status == 1
    assert "PINGONE_REGION" in lines(end, "failed")[0]


@pytest.mark.parametrize("variable", ["PINGONE_AUTH_URL", "PINGONE_API_URL"])
def test_a_host_that_cannot_be_reached(served: Served, variable: str) -> None:
    nowhere = f"http://127.0.0.1:{closed_port()}" + ("/v1" if variable == "PINGONE_API_URL" else "")
    end = check(served, **{variable: nowhere})
    assert end.status == 1
    assert len(lines(end, "failed")) == 1
    assert "cannot be reached" in end.out or "refused the connection" in end.out
    assert variable in end.out


def test_without_the_audit_role_it_still_works_and_says_what_is_missing(served: Served) -> None:
    served.sandbox.withdraw("Configuration Read Only", "Environment Admin")
    end = check(served)
    assert end.status == 0
    assert lines(end, "failed") == []
    assert any("audit" in line and "Configuration Read Only" in line for line in lines(end, "missing"))
    assert "This connection works." in end.out


@pytest.mark.parametrize("right", [POPULATIONS, GROUPS, ROLES, AUDIT], ids=lambda right: right.what)
def test_check_and_sync_name_the_same_right_and_role(served: Served, right: Right) -> None:
    """What a sync lacks, a check-up says before; and a sync that lacks it never holds all that PingOne knew."""
    parts = {POPULATIONS: "/populations", GROUPS: "/groups", ROLES: "/roleAssignments", AUDIT: "/activities"}
    served.sandbox.faults.add("forbidden", path=parts[right], times=None)
    told = check(served, PINGONE_REPLICA_ROLES="1")
    (missing,) = (line for line in lines(told, "missing") if line.split()[1] == right.what.split()[0])
    assert told.status == 0
    assert f"may not read {right.what} (403)" in missing
    assert f"Without them, {right.without}." in missing
    assert f"such as {right.given_by};" in missing
    synced = inside("sync", "--json", env=served.variables(PINGONE_REPLICA_ROLES="1")).json()
    assert f"may not be read (403; {right.taken_by})" in synced["reason"]
    assert synced["gaps"]
    again = inside("sync", "--full", env=served.variables(PINGONE_REPLICA_ROLES="1"))
    assert "all that PingOne knew" not in again.out
    assert "but for what is missing" in again.out
    assert f"may not be read (403; {right.taken_by})" in again.out
    assert "Sync again" not in again.out + again.err


def test_a_sync_that_may_not_read_users_names_the_right_and_the_role(served: Served) -> None:
    served.sandbox.withdraw("Identity Data Admin")
    for command in ("check", "sync"):
        told = inside(command, env=served.variables())
        assert told.status == 1
        assert "The worker application may not read users (403)" in told.out + told.err
        assert f"such as {USERS.role};" in told.out + told.err
        assert "Sync again" not in told.out + told.err


def test_without_any_role_that_reads_users_it_does_not_work(served: Served) -> None:
    served.sandbox.withdraw("Identity Data Admin")
    end = check(served)
    assert end.status == 1
    assert len(lines(end, "failed")) == 1
    assert "Identity Data Read Only" in lines(end, "failed")[0]


@pytest.mark.parametrize("environments", ["", "all"])
def test_without_any_role_it_does_not_work(served: Served, environments: str) -> None:
    served.sandbox.withdraw()
    end = check(served, PINGONE_ENVIRONMENTS=environments)
    assert end.status == 1
    assert "Identity Data Read Only" in lines(end, "failed")[0]
    assert end.out.count("Identity Data Read Only") == 1, "an advice is given once"


def test_users_who_are_counted_and_not_shown_are_missing(served: Served) -> None:
    hidden = frozenset(user["id"] for user in list(served.sandbox.users())[:30])
    served.sandbox.narrow(served.sandbox.environment_id, Narrowing(hidden=hidden))
    told = check(served)
    assert told.status == 0
    (line,) = lines(told, "missing")
    assert "PingOne counts 60 in the populations and shows 30." in line


def test_with_json_the_whole_output_is_one_document(served: Served) -> None:
    good = check(served, "--json").json()
    assert good["ok"] is True
    assert [finding["step"] for finding in good["findings"]][:3] == ["region", "token", "environment"]
    end = check(served, "--json", PINGONE_CLIENT_SECRET="wrong")
    bad = json.loads(end.out)
    assert (end.status, end.err, bad["ok"]) == (1, "", False)
    assert [finding["ok"] for finding in bad["findings"]] == [True, False]


def test_without_configuration_it_names_the_variables_and_exits_with_2(served: Served) -> None:
    end = inside("check", env=bare(served.home))
    assert end.status == 2
    assert "PINGONE_CLIENT_SECRET" in end.sentence()


def test_without_configuration_json_has_the_same_shape(served: Served) -> None:
    end = inside("check", "--json", env=bare(served.home, PINGONE_CLIENT_ID=UNKNOWN, PINGONE_CLIENT_SECERT="s3cret"))
    said = json.loads(end.out)
    assert (end.status, end.err, said["ok"]) == (2, "", False)
    assert [(one["step"], one["ok"], one["needed"]) for one in said["findings"]] == [
        ("settings", False, True),
        ("settings", False, True),
        ("settings", False, False),
    ]
    assert "PINGONE_ENVIRONMENT_ID: missing." in said["findings"][0]["text"]
    assert "Did you mean PINGONE_CLIENT_SECRET?" in said["findings"][2]["text"]
    assert "s3cret" not in end.out


def test_json_is_printed_too_where_the_file_of_settings_is_missing(served: Served) -> None:
    end = inside("check", "--json", "--env-file", "nowhere.env", env=bare(served.home))
    assert (end.status, end.err, json.loads(end.out)["ok"]) == (2, "", False)
    assert "nowhere.env" in json.loads(end.out)["findings"][0]["text"]


def test_what_was_given_and_comes_to_nothing_is_said_and_lacks_nothing(served: Served) -> None:
    end = check(served, PINGONE_REGIN="EU", PINGONE_REGION="EU", PINGONE_TOP_LEVEL_DOMAIN=".ca")
    assert (end.status, end.err) == (0, "")
    assert [line.partition(": ")[2] for line in lines(end, "note")] == [
        "PINGONE_REGION in the environment counts; PINGONE_TOP_LEVEL_DOMAIN in the environment says something else.",
        "PINGONE_REGIN in the environment is no setting of pingone-mcp. Did you mean PINGONE_REGION?",
    ]
    assert end.out.endswith("This connection works.\n")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "NA, because PINGONE_REGION is not set: api.pingone.com and auth.pingone.com"),
        ({"PINGONE_REGION": "eu"}, "EU: api.pingone.eu and auth.pingone.eu"),
        ({"PINGONE_TOP_LEVEL_DOMAIN": ".ca"}, "CA: api.pingone.ca and auth.pingone.ca"),
        (
            {"PINGONE_CUSTOM_DOMAIN": "login.example.com"},
            "NA, because PINGONE_REGION is not set: api.pingone.com and login.example.com",
        ),
    ],
)
def test_it_says_first_which_region_and_hosts_it_asks(served: Served, variables: dict[str, str], said: str) -> None:
    own = served.variables(HTTPS_PROXY="http://127.0.0.1:1", **variables)
    end = inside(
        "check", env={name: value for name, value in own.items() if name not in ("PINGONE_API_URL", "PINGONE_AUTH_URL")}
    )
    assert end.status == 1
    assert end.out.splitlines()[0].split(maxsplit=1) == ["ok", f"region: {said}"]


def test_where_the_hosts_are_named_no_region_is_claimed(served: Served) -> None:
    (line,) = [line for line in lines(check(served, PINGONE_REGION="EU"), "ok") if " region: " in line]
    assert "EU" not in line
    assert served.base_url.partition("//")[2] in line


def test_the_embedded_sandbox_is_a_good_connection_without_network(served: Served) -> None:
    end = run("check", env=bare(served.home, PINGONE_SANDBOX="1", PINGONE_CACHE_DIR=str(served.cache)))
    assert end.status == 0
    assert not served.sandbox.requests
