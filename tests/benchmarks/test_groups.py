"""Groups that need a company are measured in small: each figure has both sides."""

from __future__ import annotations

import gzip
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from benchmarks.copy import answers, growth, reviews
from benchmarks.pages import conversion
from benchmarks.places.bombs import array, mined, zipped
from benchmarks.places.served import serving
from benchmarks.server.attacks import Attack, Harmed, withstood
from benchmarks.server.pipes import Gone, Spoken, speaking
from benchmarks.table.figures import at_most
from tests.depth import long


@long
def test_the_copy_is_asked_the_same_as_live() -> None:
    measured = answers.measured("fast")
    assert [figure.promised is None for figure in measured.figures] == [True, False] * 3
    assert all(figure.ours > 0 and figure.yardstick > 0 for figure in measured.figures)


@long
def test_reviews_of_everybody_are_measured_beside_scans_of_the_same_people() -> None:
    measured = reviews.measured("fast")
    assert all(figure.ours > 0 and figure.yardstick > 0 and figure.small for figure in measured.figures)
    tools = ["access_review", "check_drift", "map_roles"]
    promised = [figure.what.split()[0] for figure in measured.figures if figure.promised]
    assert promised == ["access_review", *tools]
    budgeted = [figure for figure in measured.figures if "time budget" in figure.against]
    assert [(figure.yardstick, figure.promised) for figure in budgeted] == [(4.0, at_most(1))] * len(tools)


@long
def test_growth_has_a_point_of_each_curve_for_each_size() -> None:
    measured = growth.measured("fast")
    curves = {(point.panel, point.curve) for point in measured.points}
    assert len(measured.points) == 2 * len(curves)
    assert {panel for panel, _ in curves} == {growth.SYNC, growth.QUESTIONS, growth.SPACE}
    assert len(measured.figures) == len(curves)


def test_a_page_becomes_users_and_rows() -> None:
    rows, users = conversion.measured("fast").figures
    assert rows.yardstick == users.yardstick > 0
    assert rows.ours > 0
    assert users.ours > 0


def test_questions_put_at_once_on_one_pipe_have_their_answers_in_the_order_of_the_calls(tmp_path: Path) -> None:
    with serving(size=30) as place, speaking(place.variables(tmp_path)) as server:
        begun = time.perf_counter()
        asked = [("list_users", {"limit": number}) for number in range(1, 11)]
        answered = server.ask_tools(asked)
        assert [len(answer.facts["result"]) for answer in answered] == list(range(1, 11))
        assert all(begun < answer.at < time.perf_counter() for answer in answered)
        assert "error" in server.call("list_users", limit=0)


def test_a_server_that_ends_before_it_answers_is_gone(tmp_path: Path) -> None:
    gone: list[bool] = []

    def ask(server: Spoken) -> None:
        with pytest.raises(Gone):
            server.call("list_users")
        gone.append(True)

    with serving(size=3, latency=30) as place:
        with speaking(place.variables(tmp_path)) as server:
            asked = threading.Thread(target=ask, args=(server,))
            asked.start()
        asked.join(60)
    assert gone == [True]


def test_a_bomb_lies_where_it_is_asked_for_and_all_else_is_as_it_was() -> None:
    bombs = {"small-bomb": array(1), "zipped-bomb": zipped(3)}
    assert len(bombs["small-bomb"].body) == pytest.approx(2**20, rel=0.01)
    assert len(bombs["zipped-bomb"].body) < 10_000
    assert len(gzip.decompress(bombs["zipped-bomb"].body)) == pytest.approx(3 * 2**20, rel=0.01)
    with serving(size=3) as place, mined(place, bombs) as mines, httpx.Client(base_url=mines.base_url) as http:
        secret = (place.client_id, place.client_secret)
        grant = http.post(f"/{place.environment_id}/as/token", data={"grant_type": "client_credentials"}, auth=secret)
        users = f"/v1/environments/{place.environment_id}/users"
        shown = http.get(users, headers={"Authorization": f"Bearer {grant.json()['access_token']}"})
        assert len(shown.json()["_embedded"]["users"]) == 3
        assert place.base_url not in shown.text
        assert len(http.get(users, params={"filter": "small-bomb"}).json()["_embedded"]["users"]) > 100_000
        assert http.get(users, params={"filter": "zipped-bomb"}).json()["_embedded"]["users"] == []


@long
def test_what_an_attack_does_to_others_is_measured_beside_it(tmp_path: Path) -> None:
    def strike(server: Spoken) -> None:
        assert "error" in server.call("list_users", limit=0)
        raise Harmed("a sync failed")

    with serving(size=3) as place:
        found = withstood(Attack(name="a wrong question", strike=strike), place.variables(tmp_path), patience=60)
        stuck = Attack(name="an endless one", strike=lambda _: threading.Event().wait(60))
        endless = withstood(stuck, place.variables(tmp_path), patience=0.3)
    assert (found.name, found.harm) == ("a wrong question", "a sync failed")
    assert endless.harm is None
    assert endless.seconds == pytest.approx(0.3, abs=0.2)
    for measured in (found, endless):
        assert 0 < measured.ping < 60
        assert 0 < measured.listing < 60
        assert 0 < measured.idle_listing < 60
        assert measured.idle_peak <= measured.peak < 1_000
        assert measured.idle_peak > 10 or sys.platform != "linux"
    assert [figure.what for figure in found.figures(small=True)][-1] == "  what it did to others"
    assert len(endless.figures(small=True)) == 3
