"""Answers of a real server on 127.0.0.1: what is tried again, what is told, how long is waited."""

import gzip
import socket
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from tests.share_server import raw, redirect, status, truncate

from pseudoword.errors import MissingExtra, Unreachable
from pseudoword.hub import Wire
from pseudoword.settings import Endpoints

PATH = "/api/v1/models"


def ask(wire, headers=None, hints=None):
    url = f"{wire.endpoints.civitai}{PATH}"
    return wire.get_json(url, params={"types": "TextualInversion"}, headers=headers or {}, hints=hints or {})


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504, 522])
def test_what_may_pass_is_tried_again(wire, share_server, code):
    share_server.fail(PATH, status(code), status(code))
    assert len(ask(wire)["items"]) == 2
    assert len(share_server.asked(PATH)) == 3


def test_patience_ends(wire, share_server, patience):
    share_server.fail(PATH, *[status(503)] * 10)
    with pytest.raises(Unreachable, match=r"127.0.0.1 answered 503 \(no\)"):
        ask(wire)
    assert len(share_server.asked(PATH)) == patience.tries


@pytest.mark.parametrize(("code", "hint"), [(400, ""), (401, "log in"), (403, ""), (404, "check the id")])
def test_what_will_not_pass_is_told_at_once_with_what_to_do(wire, share_server, code, hint):
    share_server.fail(PATH, status(code, {"error": "No model\nwith id 0"}))
    with pytest.raises(Unreachable) as problem:
        ask(wire, hints={401: "log in", 404: "check the id"})
    assert problem.value.got == f"127.0.0.1 answered {code} (No model with id 0)"
    assert problem.value.next_move == hint
    assert len(share_server.asked(PATH)) == 1


def test_a_wait_that_the_server_asks_for_is_kept(wire, share_server):
    share_server.fail(PATH, status(429, retry_after="1"))
    started = time.monotonic()
    ask(wire)
    assert 1.0 <= time.monotonic() - started < 10.0


def test_a_date_to_wait_for_is_understood(wire, share_server):
    past = format_datetime(datetime.now(UTC) - timedelta(hours=1))
    share_server.fail(PATH, status(503, retry_after=past))
    ask(wire)


@pytest.mark.parametrize(
    "headers",
    [
        {"retry_after": "3600"},
        {"retry_after": format_datetime(datetime(2199, 1, 1, tzinfo=UTC))},
        {"ratelimit": '"api";r=0;t=300'},
    ],
)
def test_a_long_wait_is_told_and_not_waited_for(wire, share_server, headers):
    share_server.fail(PATH, status(429, **headers))
    with pytest.raises(Unreachable, match=r"answered 429 and asks to wait \d+ seconds"):
        ask(wire)
    assert len(share_server.asked(PATH)) == 1


def test_a_body_that_breaks_off_is_fetched_again(wire, share_server):
    share_server.fail(PATH, truncate(100), truncate(5))
    assert len(ask(wire)["items"]) == 2


@pytest.mark.parametrize("body", [b"<html>Log in to the hotel's network</html>", b"", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_told(wire, share_server, body):
    share_server.fail(PATH, raw(body))
    with pytest.raises(Unreachable, match="not JSON"):
        ask(wire)


def test_an_answer_that_inflates_without_end_is_cut_off(wire, share_server):
    share_server.fail(PATH, raw(gzip.compress(b" " * (80 << 20), 9), content_encoding="gzip"))
    with pytest.raises(Unreachable, match="more than 32 MiB"):
        ask(wire)


def test_a_redirect_is_followed_and_the_token_stays_with_its_server(wire, share_server):
    other = share_server.url.replace("127.0.0.1", "localhost")
    share_server.fail(PATH, redirect(f"{other}/api/v1/models"))
    ask(wire, headers={"authorization": "Bearer secret"})
    first, second = share_server.asked(PATH)
    assert first.headers["authorization"] == "Bearer secret"
    assert "authorization" not in second.headers


def test_a_redirect_within_a_server_keeps_the_token(wire, share_server):
    share_server.fail(PATH, redirect("/api/v1/models?x=1", code=307))
    ask(wire, headers={"authorization": "Bearer secret"})
    assert [request.headers.get("authorization") for request in share_server.asked(PATH)] == ["Bearer secret"] * 2


@pytest.mark.parametrize("target", ["https://10.0.0.1/x", "http://169.254.169.254/", "file:///etc/passwd", "http://["])
def test_a_redirect_into_a_private_network_is_not_followed(wire, share_server, target):
    share_server.fail(PATH, redirect(target))
    with pytest.raises(Unreachable):
        ask(wire)


def test_redirects_in_a_circle_end(wire, share_server):
    share_server.fail(PATH, *[redirect("/api/v1/models")] * 20)
    with pytest.raises(Unreachable, match="redirects more than 10 times"):
        ask(wire)


def test_a_redirect_to_the_login_page_is_told_as_such(wire, share_server):
    share_server.fail(PATH, redirect("/login?returnUrl=%2Fmodels&reason=download-auth"))
    with pytest.raises(Unreachable, match=r"to its users alone. Make a key"):
        ask(wire, hints={401: "Make a key"})


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_nobody_there_is_one_line(patience):
    with (
        Wire(Endpoints(civitai=f"http://127.0.0.1:{closed_port()}"), patience) as wire,
        pytest.raises(Unreachable, match=r"127.0.0.1 cannot be reached \(no connection.*Check the network") as problem,
    ):
        ask(wire)
    assert "\n" not in str(problem.value)


def test_a_server_that_says_nothing_is_not_waited_for_without_end(patience):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoints = Endpoints(civitai=f"http://127.0.0.1:{silent.getsockname()[1]}")
        with (
            Wire(endpoints, replace(patience, read=0.05, tries=2)) as wire,
            pytest.raises(Unreachable, match="no answer in time"),
        ):
            ask(wire)


def test_offline_mode_asks_nobody(patience):
    with pytest.raises(Unreachable, match="HF_HUB_OFFLINE is set"):
        Wire(Endpoints(offline=True), patience)


def test_a_missing_extra_is_named_with_the_command_that_installs_it(patience, monkeypatch):
    monkeypatch.setattr("pseudoword.hub.wire.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'pseudoword\[hub\]'"):
        Wire(Endpoints(), patience)
