"""The catalogue holds every operation of PingOne's OpenAPI files, and finds operations by area and by path."""

from __future__ import annotations

from pathlib import Path

import pytest

from pingone_mcp.directory.native import Operation
from pingone_mcp.pingone.proxy import catalogue
from pingone_mcp.pingone.proxy.paths import TOP_LEVEL
from tests.pingone import specifications

ENVIRONMENT = "11111111-1111-4111-8111-aaaaaaaaaaaa"
THING = "22222222-2222-4222-8222-bbbbbbbbbbbb"


def test_every_operation_of_the_three_specifications_is_in_the_catalogue(shared: Path) -> None:
    stated = specifications.operations(shared)
    shipped = {(one.method, specifications.shape(one.path)): one for one in catalogue.operations()}
    assert shipped.keys() == stated.keys()
    assert specifications.count(shared) == 462
    assert len(shipped) == len(catalogue.operations()) == 447
    for key, one in shipped.items():
        assert set(one.takes) == stated[key].takes
        assert set(one.answers) == stated[key].answers


def test_the_catalogue_is_what_its_generator_writes(shared: Path) -> None:
    assert specifications.CATALOGUE.read_text(encoding="utf-8").splitlines() == specifications.lines(shared)


def test_operations_of_one_path_are_merged_with_all_their_media_types() -> None:
    flow = catalogue.match("POST", ["environments", ENVIRONMENT, "flows", THING])
    assert flow is not None
    assert [kind.removeprefix("application/vnd.pingidentity.") for kind in flow.takes] == [
        "flow.clone+json",
        "flow.deploy+json",
        "flow.validate+json",
    ]
    user = catalogue.match("POST", ["environments", ENVIRONMENT, "users", THING])
    assert user is not None
    assert "application/vnd.pingidentity.account.lock+json" in user.takes


def test_every_operation_is_in_one_area_and_areas_are_in_order() -> None:
    areas = catalogue.areas()
    assert sum(map(len, areas.values())) == 447
    assert list(areas) == sorted(areas, key=str.lower)
    assert {one.path for one in areas["users"]} >= {"/environments/{environmentID}/users/{userID}/password"}
    assert {one.path for one in areas["roles"]} >= {"/roles", "/environments/{environmentID}/roles"}
    assert {"environments", "organizations", "populations", "davinciApplications"} <= areas.keys()


@pytest.mark.parametrize(
    ("method", "path", "template"),
    [
        ("GET", f"environments/{ENVIRONMENT}/users/{THING}", "/environments/{environmentID}/users/{userID}"),
        ("HEAD", "roles", "/roles"),
        (
            "GET",
            f"environments/{ENVIRONMENT}/propagation/revisions/id:latest",
            "/environments/{environmentID}/propagation/revisions/id:latest",
        ),
        (
            "GET",
            f"environments/{ENVIRONMENT}/propagation/revisions/{THING}",
            "/environments/{environmentID}/propagation/revisions/{previousRevisionID}",
        ),
        ("DELETE", "roles", None),
        ("GET", f"environments/{ENVIRONMENT}/unheardOf", None),
        ("GET", f"environments/{ENVIRONMENT}/users/", None),
        ("GET", "", None),
    ],
)
def test_a_request_is_matched_to_its_operation(method: str, path: str, template: str | None) -> None:
    found = catalogue.match(method, path.split("/"))
    assert (found.path if found else None) == template


def test_every_template_matches_itself_filled_in() -> None:
    for one in catalogue.operations():
        segments = [THING if part.startswith("{") else part for part in one.path.strip("/").split("/")]
        found = catalogue.match(one.method, segments)
        assert found is not None
        assert specifications.shape(found.path) == specifications.shape(one.path)


def test_a_path_is_completed_with_the_ids_that_were_typed() -> None:
    assert "/organizations/{organizationID}" in catalogue.complete("/org")
    assert catalogue.complete("/roles") == ("/roles", "/roles/{roleID}")
    inside = catalogue.complete(f"/environments/{ENVIRONMENT}/pop")
    assert f"/environments/{ENVIRONMENT}/populations/{{populationID}}" in inside
    assert all(path.startswith(f"/environments/{ENVIRONMENT}/populations") for path in inside)
    typing = catalogue.complete(f"/environments/{ENVIRONMENT}/keys/{THING[:5]}")
    assert f"/environments/{ENVIRONMENT}/keys/{THING[:5]}/csr" in typing
    assert catalogue.complete("/nothing") == ()
    assert len(catalogue.complete("")) == len({one.path for one in catalogue.operations()})


def test_what_may_be_read_outside_environments_is_all_in_the_catalogue() -> None:
    known = {one.path for one in catalogue.operations() if one.method == "GET"}
    assert known >= TOP_LEVEL
    outside = {path for path in known if not path.startswith("/environments")}
    assert outside - TOP_LEVEL == set()


def test_an_operation_without_bodies_takes_and_answers_nothing() -> None:
    assert catalogue.operations()[4] == Operation(
        area="environments", method="DELETE", path="/environments/{environmentID}"
    )
