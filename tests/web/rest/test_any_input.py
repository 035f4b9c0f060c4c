"""Whatever is sent, the answer is one of the described ones: no input is a mistake of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.depth import soaked, tries
from tests.web.rest.offices import Office, office

TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", "\0", "null", "true", "-1", "1e999", "../..", "%00", "all", "a\u202eb", "x" * 3_000]),
)
NAMES = st.sampled_from(
    "context name tenant_id integrated_account_id id is_paused redirect_uri region scopes target_url event_types "
    "is_active status url token sync_job_id args environment_id client_id client_secret custom_domain populations attributes "
    "concurrency sync_minutes allow_writes page_size kind cron zone arguments".split()
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.one_of(NAMES, TEXTS), inner, max_size=4)),
    max_leaves=8,
)
BODIES = st.one_of(
    st.dictionaries(NAMES, VALUES, max_size=4).map(lambda one: json.dumps(one).encode()), st.binary(max_size=20)
)
QUERIES = st.dictionaries(
    st.one_of(
        st.sampled_from(
            ["limit", "next_cursor", "tenant_id", "status", "integrated_account_id", "filter", "expand", "id[in]"]
        ),
        st.text(max_size=6),
    ),
    TEXTS,
    max_size=3,
)
HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "idempotency-key", "accept", "origin", "x-forwarded-host"]),
    st.one_of(st.binary(max_size=12), st.sampled_from([b"application/json", b"text/plain", b"text/csv", b"a/b+json"])),
    max_size=2,
)


@contextmanager
def served(portal: BlockingPortal, folder: Path) -> Iterator[tuple[Office, str]]:
    async def linked(opened: Office) -> str:
        found = await opened.estate.link("acme", tenant="t", allow_writes=True, retry_seconds=0)
        return found.id

    with portal.wrap_async_context_manager(office(folder)) as opened:
        yield opened, portal.call(linked, opened)


@soaked
def test_no_input_is_a_mistake_of_ours(tmp_path: Path) -> None:
    with start_blocking_portal() as portal, served(portal, tmp_path) as (desk, connection):
        operations = [one for one in desk.operations if not one.path.startswith("/unified/")]

        async def send(method: str, path: str, more: dict[str, Any]) -> Any:
            with anyio.fail_after(60):
                return await desk.http.request(method, path, **more)

        @tries(300)
        @given(
            operation=st.sampled_from(operations),
            segment=st.one_of(
                TEXTS, st.just(connection), st.sampled_from(["users", "users/x/enabled", "groups", "me", "crm"])
            ),
            body=BODIES,
            query=QUERIES,
            headers=HEADERS,
            is_named=st.booleans(),
            may=st.sampled_from([("t", ()), (None, (connection,)), ("other", ())]),
        )
        def ask(
            operation: Any, segment: str, body: bytes, query: Any, headers: Any, *, is_named: bool, may: Any
        ) -> None:
            tenant, connections = may
            desk.is_for(*connections, tenant=tenant)
            path = (
                operation.path.replace("{id}", quote(segment))
                .replace("{path}", quote(segment))
                .replace("{name}", quote(segment))
            )
            if is_named:
                query = {**query, "integrated_account_id": connection}
            more: dict[str, Any] = {"params": query, "headers": headers}
            if operation.method != "GET":
                more["content"] = body
            answer = portal.call(send, operation.method, path, more)
            assert answer.status_code < 500, (operation.name, answer.text)
            if answer.status_code >= 400:
                assert answer.json()["statusCode"] == answer.status_code
            elif answer.status_code == 200 and not operation.passes_on:
                found = [one for one in desk.operations if (one.method, one.path) == (operation.method, path)]
                Draft202012Validator((found or [operation])[0].answers).validate(answer.json())

        ask()
