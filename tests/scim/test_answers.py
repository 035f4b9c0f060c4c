"""What servers write otherwise than the RFC is read as it is meant, and what means nothing as nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pingone_mcp.scim.answers import ListPage, ServerFeatures, features_of, key_of, page_of, time_of

EMPTY = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


@pytest.mark.parametrize(
    ("written", "total"),
    [
        (7, 7),
        ("7", 7),
        (7.0, 7),
        (0, 0),
        (-1, None),
        ("many", None),
        (True, None),
        (7.5, None),
        (10**400, None),
        (None, None),
    ],
)
def test_a_number_is_one_however_it_is_written(written: object, total: int | None) -> None:
    assert page_of({"totalResults": written, "Resources": []}) == ListPage(users=(), total=total)


@pytest.mark.parametrize(
    ("document", "page"),
    [
        (
            {"totalresults": 1, "resources": [{"id": 1}], "STARTINDEX": "1"},
            ListPage(users=({"id": 1},), total=1, start=1),
        ),
        ({"totalResults": 0}, ListPage(users=(), total=0, is_listed=False)),
        ({"schemas": [EMPTY]}, ListPage(users=(), is_listed=False)),
        ({"Resources": [], "nextCursor": "", "startIndex": 0}, ListPage(users=())),
        ({"Resources": ["x", {}], "nextCursor": "+/="}, ListPage(users=({},), next_cursor="+/=", strange=1)),
        ({"id": "1", "userName": "anna"}, None),
        ({"Resources": {"0": {}}}, None),
        ("text", None),
        (None, None),
    ],
)
def test_a_page_is_read_in_any_case_of_its_names(document: object, page: ListPage | None) -> None:
    assert page_of(document) == page


@pytest.mark.parametrize(
    ("config", "features"),
    [
        (
            {"pagination": {"cursor": True, "maxPageSize": 50}, "filter": {"supported": True, "maxResults": 200}},
            ServerFeatures(has_cursors=True, has_filters=True, most=50),
        ),
        ({"Pagination": {"Cursor": "True"}, "filter": {"maxResults": 0}}, ServerFeatures(has_cursors=True)),
        ({"pagination": True, "filter": None}, ServerFeatures()),
        ("<html>", ServerFeatures()),
    ],
)
def test_what_a_server_does_not_say_it_cannot_do(config: object, features: ServerFeatures) -> None:
    assert features_of(config) == features


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ({"id": "a", "x": 1}, {"id": "a", "x": 2}, True),
        ({"id": "a"}, {"id": "A"}, False),
        ({"ID": "a"}, {"id": "a"}, True),
        ({"id": 1}, {"id": "1"}, True),
        ({"x": 1, "y": 2}, {"y": 2, "x": 1}, True),
        ({"id": "", "x": 1}, {"id": "", "x": 2}, False),
        ({"id": None, "x": 1}, {"id": None, "x": 2}, False),
    ],
)
def test_users_are_known_apart_by_their_ids(one: dict[str, Any], other: dict[str, Any], are_one: bool) -> None:
    assert (key_of(one) == key_of(other)) is are_one


@pytest.mark.parametrize(
    ("meta", "at"),
    [
        ({"lastModified": "2026-06-15T12:00:00Z"}, datetime(2026, 6, 15, 12, tzinfo=UTC)),
        ({"lastmodified": "2026-06-15T14:00:00+02:00"}, datetime(2026, 6, 15, 12, tzinfo=UTC)),
        ({"lastModified": "2026-06-15T12:00:00"}, datetime(2026, 6, 15, 12, tzinfo=UTC)),
        ({"lastModified": "yesterday"}, None),
        ({"lastModified": 5}, None),
        (None, None),
    ],
)
def test_a_time_is_read_where_it_is_one(meta: object, at: datetime | None) -> None:
    assert time_of({"meta": meta}, "lastModified") == at
