"""Rows 1-13 and 29-31 of the reliability matrix: what the API may do wrong, over real sockets."""

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fetch.lab import ANN, FAST, KEY, Clock, Lab, make_meeting, replies

from recall_audio.errors import ItemError, KeyRefused, MachineError, TransientError, UsageError, Waiting
from recall_audio.fetch import Settings, fetch_bot, known_recordings
from recall_audio.fetch.api.rate_limit import CallKind, RateLimit
from recall_audio.fetch.context import open_context
from recall_audio.fetch.http.sessions import Call, Sockets, Unsigned, open_response, session
from recall_audio.model.options import FetchOptions
from recall_audio.standin import Fault, Reply, StandIn, StandInOptions, State, meeting

HTML = b"<html><body>Attention required! canary-page</body></html>"


def test_row_1_a_refused_key_stops_at_the_first_request(lab: Lab) -> None:
    with lab.serve(Fault(".", [Reply(status=401)], forever=True)), pytest.raises(KeyRefused) as caught:
        lab.fetch()
    assert len(lab.server.requests) == 1
    assert "RECALL_API_KEY" in str(caught.value)
    assert "us-west-2" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_stand_in_itself_refuses_another_key(lab: Lab) -> None:
    with lab.serve():
        other = replace(lab.settings, key="another")
        with pytest.raises(KeyRefused):
            fetch_bot(lab.server.bot_ids[0], lab.out, other, FetchOptions())


def test_no_credit_stops_like_a_refused_key(lab: Lab) -> None:
    with lab.serve(Fault(".", [Reply(status=402)], forever=True)), pytest.raises(KeyRefused) as caught:
        lab.fetch()
    assert caught.value.code == "no_credit"


@pytest.mark.parametrize("endless", [False, True])
def test_row_2_a_firewall_is_named_and_not_quoted(lab: Lab, endless: bool) -> None:
    page = Reply(status=403, body=HTML, headers={"Content-Type": "text/html"}, endless=endless)
    with lab.serve(Fault(".", [page], forever=True)), pytest.raises(ItemError) as caught:
        lab.fetch()
    assert caught.value.code == "waf_blocked"
    assert "canary-page" not in "".join(lab.said)
    assert len(lab.server.requests) == 1


def test_row_3_a_limit_holds_everybody_for_as_long_as_asked(lab: Lab) -> None:
    clock = Clock()
    rate_limit = RateLimit(now=lambda: clock.at)
    started = clock.at
    with lab.serve(replies("/bot/", Reply(status=429, headers={"Retry-After": "7"}))):
        result = lab.fetch(clock.policy(), rate_limit)
    assert result.recordings[0].status == "complete"
    assert clock.at - started >= 7.0
    rate_limit.hold_until(clock.at + 5.0)
    assert rate_limit.acquire("list") == pytest.approx(5.0)


def test_row_3_no_more_than_55_lists_a_minute() -> None:
    clock = Clock()
    rate_limit = RateLimit(now=lambda: clock.at)
    made: list[float] = []
    while len(made) < 200:
        wait_s = rate_limit.acquire("list")
        clock.sleep(wait_s or 0.01)
        made += [clock.at] if wait_s == 0.0 else []
    assert max(sum(at <= other < at + 60.0 for other in made) for at in made) <= 55


def test_row_3_a_document_on_the_apis_own_host_counts_as_a_call_and_carries_no_key(lab: Lab) -> None:
    class Counted(RateLimit):
        n_calls = 0

        def acquire(self, kind: CallKind) -> float:
            self.n_calls += 1
            return super().acquire(kind)

    counted = Counted()
    with lab.serve() as server, open_context(lab.settings, None, FAST, counted) as context:
        for path, n_calls in (("/api/v1/download/transcript/?token=t", 1), ("/store/x?token=t", 1)):
            with context.media_host.open(f"{server.origin}{path}", {}) as answer:
                assert answer.status_code >= 400
            assert counted.n_calls == n_calls
    assert all("authorization" not in request.headers for request in server.requests)


@pytest.mark.parametrize("header", ["soon", "-5", "1.5", "", "²", "Thu, 99 Xyz 2026"])
def test_row_4_a_senseless_retry_after_means_backing_off(lab: Lab, header: str) -> None:
    clock = Clock()
    refused = Reply(status=429, headers={"Retry-After": header.encode().decode("latin-1")})
    with lab.serve(replies("/bot/", refused, refused)):
        assert lab.fetch(clock.policy()).recordings[0].status == "complete"
    assert len(clock.slept) == 2
    assert all(s <= FAST.retry.wait_most_s for s in clock.slept)


def test_row_5_an_absurd_retry_after_is_reported_not_slept(lab: Lab) -> None:
    clock = Clock()
    refused = Reply(status=429, headers={"Retry-After": "99999"})
    with lab.serve(replies("/bot/", refused)), pytest.raises(TransientError) as caught:
        lab.fetch(clock.policy())
    assert clock.slept == []
    assert caught.value.facts["retry_at"] == "2023-11-16T01:59:59+00:00"  # 1 700 000 000 s + 99 999 s
    assert "2023-11-16T01:59:59+00:00" in str(caught.value)
    assert len(lab.server.requests) == 1


def test_row_6_overload_is_waited_out_and_counted(lab: Lab) -> None:
    clock = Clock()
    with lab.serve(replies("/bot/", *(Reply(status=s) for s in (502, 503, 504)))):
        result = lab.fetch(clock.policy())
    assert result.retries == 3
    assert len(set(clock.slept)) == 3, "the waits are drawn, not fixed"


@pytest.mark.parametrize("body", [HTML, b"", b'{"id": "5f'], ids=["html", "empty", "cut"])
def test_row_7_an_unreadable_answer_is_asked_for_twice_more(lab: Lab, body: bytes) -> None:
    with lab.serve(Fault("/bot/", [Reply(body=body)], forever=True)), pytest.raises(ItemError) as caught:
        lab.fetch()
    assert caught.value.code == "bad_json"
    assert len(lab.server.requests) == 3
    assert "canary-page" not in "".join(lab.said)


def test_row_7_a_passing_unreadable_answer_is_forgotten(lab: Lab) -> None:
    with lab.serve(replies("/bot/", Reply(body=b"{"), Reply(body=b""))):
        assert lab.fetch().recordings[0].status == "complete"


@pytest.mark.parametrize(
    "duration",
    ["NaN", "Infinity", "-Infinity", "1e999", "-1", "9" * 5000, "9" * 200, '"3"', "true", "[" * 100_000],
)
def test_row_8_an_impossible_duration_is_a_bad_payload(lab: Lab, duration: str) -> None:
    part = {"id": "p", "participant": ANN, "start_timestamp": {"relative": 0}, "duration": 0}
    body = json.dumps([part]).replace('"duration": 0', f'"duration": {duration}')
    if duration[0] == "[":
        body = body.replace(duration, duration + "]" * len(duration))
    state = State(mixed="missing")
    fault = replies("parts.json", Reply(body=body.encode()), forever=True)
    with lab.serve(fault, state=state), pytest.raises(ItemError) as caught:
        lab.fetch()
    assert caught.value.code == "bad_payload"


@pytest.mark.parametrize("loop", [["A", "A"], ["A", "B", "A"]])
def test_row_9_a_list_that_leads_back_is_an_error(lab: Lab, loop: list[str]) -> None:
    with lab.serve() as server:
        pages = [
            Reply(
                status=200,
                body=json.dumps(
                    {"next": f"{server.base_url}/audio_separate/?cursor={name}", "results": []}
                ).encode(),
            )
            for name in loop
        ]
        server.script = type(server.script)([Fault("/audio_separate/", pages, forever=True)])
        with pytest.raises(ItemError) as caught:
            lab.fetch()
    assert caught.value.code == "pagination_loop"
    assert len(lab.asked("/audio_separate/")) <= len(loop)


@pytest.mark.parametrize("pages", [1, 2, 3])
def test_every_page_of_a_list_is_read(lab: Lab, pages: int) -> None:
    with lab.serve(state=State(stale=pages - 1), options=StandInOptions(page_size=1)):
        assert lab.fetch().recordings[0].status == "complete"
    assert len(lab.asked("/audio_separate/")) == pages


@pytest.mark.parametrize("kind", ["another port", "user-info", "another scheme", "another host"])
def test_row_10_the_key_goes_to_no_other_host(lab: Lab, kind: str) -> None:
    make_meeting(lab.folder)
    with StandIn([meeting(lab.folder)]) as evil, lab.serve() as server:
        host = server.origin.removeprefix("http://")
        to = {
            "another port": evil.base_url,
            "user-info": f"http://me@{host}/api/v1",
            "another scheme": f"https://{host}/api/v1",
            "another host": "https://us-west-2.recall.ai/api/v1",
        }[kind]
        page = Reply(body=json.dumps({"next": f"{to}/audio_separate/?cursor=x", "results": []}).encode())
        server.script = type(server.script)([Fault("/audio_separate/", [page])])
        with pytest.raises(ItemError) as caught:
            lab.fetch()
        assert evil.requests == []
    assert caught.value.code == "url_not_allowed"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "https://10.1.2.3/x.mp3",
        "https://[fe80::1]/x.mp3",
        "https://2130706433/x.mp3",
        "https://media.example/x.mp3",
        "http://us-west-2.recall.ai/x.mp3",
        "https://user:secret@us-west-2.recall.ai/x.mp3",
    ],
)
def test_row_11_a_download_address_elsewhere_is_refused(lab: Lab, url: str) -> None:
    part = {
        "id": "p",
        "participant": ANN,
        "start_timestamp": {"relative": 0},
        "duration": 1,
        "download_url": url,
    }
    with lab.serve(replies("parts.json", Reply(body=json.dumps([part]).encode()), forever=True)):
        (recording,) = lab.fetch().recordings
    assert recording.status == "partial"
    assert recording.code == "url_not_allowed"
    assert recording.meeting.mix is not None
    assert recording.meeting.mix.file == "source/mixed.mp3"


def test_row_12_audio_that_is_being_made_is_waited_for_not_fetched(lab: Lab) -> None:
    with lab.serve(state=State(separate="processing")):
        (recording,) = lab.fetch().recordings
    assert recording.status == "waiting"
    assert recording.code == "waiting"
    assert lab.asked("/store/") == []
    assert known_recordings(lab.out, lab.server.bot_ids[0]) == []


def test_row_12_waiting_polls_by_retrieve_until_it_is_done(lab: Lab) -> None:
    clock = Clock()
    with lab.serve(state=State(looks=3)):
        (recording,) = lab.fetch(
            replace(clock.policy(), poll_s=10.0), options=FetchOptions(wait_s=60.0)
        ).recordings
    assert recording.status == "complete"
    assert lab.asked("/audio_separate/").count("/api/v1/audio_separate/") == 1


def test_waiting_ends_when_its_time_is_up(lab: Lab) -> None:
    clock = Clock()
    with lab.serve(state=State(looks=99)):
        policy = replace(clock.policy(), poll_s=10.0)
        (recording,) = lab.fetch(policy, options=FetchOptions(wait_s=35.0)).recordings
    assert recording.status == "waiting"
    assert sum(clock.slept) == 30.0


@pytest.mark.parametrize("code", ["failed", "deleted"])
def test_row_13_failed_and_deleted_audio_is_gone(lab: Lab, code: str) -> None:
    state = State(mixed=code, separate=code, sub_code="out_of_tape")
    with lab.serve(state=state), pytest.raises(ItemError) as caught:
        lab.fetch()
    assert caught.value.code == "gone"
    assert caught.value.facts["sub_code"] == "out_of_tape"


def test_row_13_a_failed_recording_is_gone(lab: Lab) -> None:
    with lab.serve(state=State(recording="failed", sub_code="x")), pytest.raises(ItemError) as caught:
        lab.fetch()
    assert caught.value.code == "gone"


def test_row_13_an_unknown_bot_is_gone_and_the_region_named(lab: Lab) -> None:
    with lab.serve(), pytest.raises(ItemError) as caught:
        lab.fetch(bot_id="00000000-0000-4000-8000-00000000dead")
    assert caught.value.code == "gone"
    assert "us-west-2" in str(caught.value)


def bot_answer(recordings: list[Any], codes: list[str], join_at: str | None = None) -> Reply:
    changes = [{"code": c, "sub_code": "sub", "created_at": "2026-01-12T09:00:00Z"} for c in codes]
    body = {"id": "b", "recordings": recordings, "status_changes": changes, "join_at": join_at}
    return Reply(body=json.dumps(body).encode())


@pytest.mark.parametrize("codes", [["done"], ["in_call_recording", "fatal"], []])
def test_row_13_a_bot_without_recordings_is_gone(lab: Lab, codes: list[str]) -> None:
    with lab.serve(replies("/bot/", bot_answer([], codes))), pytest.raises(ItemError) as caught:
        lab.fetch()
    assert caught.value.code == "gone"
    assert caught.value.facts["sub_code"] == ("sub" if codes else None)


@pytest.mark.parametrize(
    ("codes", "join_at"),
    [(["in_call_recording"], None), (["a_code_of_tomorrow"], None), ([], "2999-01-01T00:00:00Z")],
)
def test_a_bot_that_may_still_record_is_waited_for(lab: Lab, codes: list[str], join_at: str | None) -> None:
    with lab.serve(replies("/bot/", bot_answer([], codes, join_at))), pytest.raises(Waiting):
        lab.fetch()


def test_row_29_netrc_signs_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = lab.root / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password canary-netrc\n")
    netrc.chmod(stat.S_IRUSR | stat.S_IWUSR)
    monkeypatch.setenv("NETRC", str(netrc))
    with lab.serve():
        lab.fetch()
    for request in lab.server.requests:
        expected = f"Token {KEY}" if request.path.startswith("/api/") else None
        assert request.headers.get("authorization") == expected
        assert "cookie" not in request.headers


def test_row_30_a_proxy_of_the_environment_is_used_and_no_proxy_too(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_meeting(lab.folder)
    call = Call("GET", "http://media.invalid/x")  # no name server knows it: only a proxy can answer
    with StandIn([meeting(lab.folder)]) as proxy, session(Sockets(), Unsigned(), 1) as opened, lab.serve():
        monkeypatch.setenv("HTTP_PROXY", proxy.origin)
        monkeypatch.setenv("http_proxy", proxy.origin)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        with open_response(opened, call, FAST.transfer) as response:
            assert response.status_code == 401, "the proxy answered"
        assert len(proxy.requests) == 1
        assert lab.fetch().recordings[0].status == "complete", "loopback is reached directly"
        monkeypatch.setenv("NO_PROXY", "media.invalid")
        with pytest.raises(TransientError), open_response(opened, call, FAST.transfer):
            pass
        assert len(proxy.requests) == 1


def test_row_30_a_missing_ca_bundle_is_this_machines_fault(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(lab.root / "nowhere.pem"))
    with lab.serve() as server:
        settings = Settings(server.base_url.replace("http://", "https://"), "us-west-2", KEY)
        with pytest.raises(MachineError) as caught:
            fetch_bot(server.bot_ids[0], lab.out, settings, FetchOptions())
    lab.keep(caught.value)
    assert caught.value.code == "tls"


@pytest.mark.parametrize("bot_id", ["", "../x", "a/b", "x" * 65, "é", "a b"])
def test_a_wrong_bot_id_is_refused_before_any_request(lab: Lab, bot_id: str) -> None:
    with lab.serve(), pytest.raises(UsageError):
        fetch_bot(bot_id, lab.out, lab.settings, FetchOptions())
    assert lab.server.requests == []
    assert not Path(lab.out).exists()
