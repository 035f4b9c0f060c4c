"""Events leave `pingone-mcp serve` for a real receiver, survive its death, and are sent again from the shell."""

from __future__ import annotations

import json
import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from tests.process.inside import inside
from tests.process.programs import PATIENCE, bare
from tests.process.test_serve_command import serving
from tests.service.events.test_signing import is_of_truto


@dataclass
class Inbox:
    """A receiver on this machine: what came, in its order; it answers `status`."""

    url: str = ""
    status: int = 200
    letters: queue.Queue[tuple[dict[str, str], bytes]] = field(default_factory=queue.Queue)

    def next(self, event: str) -> tuple[dict[str, str], bytes]:
        """Wait for a letter about an event; what comes before is passed over."""
        while True:
            headers, body = self.letters.get(timeout=PATIENCE)
            if json.loads(body)["event"] == event:
                return headers, body


@contextmanager
def receiving() -> Iterator[Inbox]:
    inbox = Inbox()

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            inbox.letters.put(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(inbox.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as it is called there
            pass

    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        inbox.url = f"http://127.0.0.1:{server.server_port}/in"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield inbox
        finally:
            server.shutdown()


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "sample.env").write_text("PINGONE_SANDBOX=1\n")
    (tmp_path / "sample.env").chmod(0o600)
    return bare(tmp_path, PINGONE_STATE_DIR=str(tmp_path / "state"))


def key_of(env: dict[str, str]) -> dict[str, str]:
    made = inside("keys", "create", "all", "--scope", "events.manage", "--scope", "directory.sync", "--json", env=env)
    return {"Authorization": f"Bearer {made.json()['key']}"}


def listed(env: dict[str, str], *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(inside("events", "list", "--json", *options, env=env).out)
    return found


def test_an_event_arrives_signed_twice_and_again_when_a_person_says_so(env: dict[str, str], tmp_path: Path) -> None:
    headers = key_of(env)
    with (
        receiving() as inbox,
        serving(env) as served,
        httpx.Client(base_url=served.url, timeout=PATIENCE, headers=headers) as client,
    ):
        webhook = client.post("/webhook", json={"target_url": inbox.url}).raise_for_status().json()
        assert client.post("/webhook/test", json={"id": webhook["id"]}).json() == {"success": True}
        sent, body = inbox.next("test")
        assert Webhook(webhook["secret"]).verify(body, sent)["payload"] == {"foo": "bar"}
        assert is_of_truto(body, sent["x-truto-signature"], webhook["secret"])
        inside("connect", "--name", "sample", "--env-file", str(tmp_path / "sample.env"), env=env)
        _, created = inbox.next("integrated_account:created")
        assert json.loads(created)["payload"]["name"] == "sample"
        inbox.next("sync_job_run:completed")
        metrics = client.get("/metrics").text
        assert 'pingone_mcp_webhooks{state="active"} 1.0' in metrics
        assert 'pingone_mcp_deliveries_total{outcome="delivered"}' in metrics
        [event] = [one for one in listed(env, "--state", "delivered") if one["event"] == "test"]
        assert event["webhook_id"] == webhook["id"]
        assert "under the same id" in inside("events", "resend", event["id"], env=env).out
        again, same = inbox.next("test")
        assert (again["webhook-id"], same) == (event["id"], body)
        assert inside("events", "resend", "--since", "1h", "--json", env=env).json()["events"] >= 5
        assert inbox.next("test")[0]["webhook-id"] == event["id"]
        assert inside("events", "resend", "--failed", "--json", env=env).json() == {"events": 0}
        assert client.get("/readyz").json()["notes"] == {}


def test_what_waits_when_the_process_is_killed_is_sent_by_the_next_one(env: dict[str, str]) -> None:
    headers = key_of(env)
    with receiving() as inbox:
        inbox.status = 503
        with serving(env) as served, httpx.Client(base_url=served.url, timeout=PATIENCE, headers=headers) as client:
            webhook = client.post("/webhook", json={"target_url": inbox.url}).raise_for_status().json()
            for _ in range(2):
                client.post("/webhook/test", json={"id": webhook["id"]}).raise_for_status()
            first, _ = inbox.next("test")
            served.process.send_signal(signal.SIGKILL)
            served.process.wait(PATIENCE)
        [second, failing] = listed(env, "--state", "waiting")
        assert failing["id"] == first["webhook-id"]
        assert (failing["failures"], failing["last_error"]) in ((0, None), (1, "It answered 503."))
        inbox.status = 200
        with serving(env):
            assert [inbox.next("test")[0]["webhook-id"] for _ in range(2)] == [failing["id"], second["id"]]
        assert inbox.letters.empty()
        assert len(listed(env, "--state", "delivered")) == 2


def test_this_machine_is_no_target_where_others_may_name_targets(env: dict[str, str]) -> None:
    headers = key_of(env)
    with serving(env, "--behind-proxy") as served:
        refused = httpx.post(
            f"{served.url}/webhook", json={"target_url": "http://127.0.0.1:9/"}, headers=headers, timeout=PATIENCE
        )
        assert (refused.status_code, refused.json()["code"]) == (400, "TARGET_REFUSED")


def test_an_event_that_there_is_not_and_half_a_wish_are_wrong_use(env: dict[str, str]) -> None:
    for words, said in (
        (("resend", "none"), "There is no event of this id."),
        (("resend",), "Give its id, --failed, or --since WHEN."),
        (("resend", "x", "--since", "1h"), "Give its id, --failed, or --since WHEN."),
        (("resend", "x", "--failed"), "Give its id, --failed, or --since WHEN."),
        (("resend", "--failed", "--since", "1h"), "Give its id, --failed, or --since WHEN."),
        (("resend", "--failed", "--webhook", "w"), "There is no webhook of this id."),
        (("list", "--webhook", "w"), "There is no webhook of this id."),
        (("resend", "x", "--webhook", "w"), "Leave out --webhook."),
        (("resend", "--since", "1h", "--webhook", "w"), "There is no webhook of this id."),
    ):
        ended = inside("events", *words, env=env)
        assert ended.status == 2
        assert said in ended.err
    assert inside("events", "list", env=env).out == "There is no such event.\n"
