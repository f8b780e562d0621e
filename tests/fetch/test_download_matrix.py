"""Rows 14-28 and 34 of the reliability matrix: what the store may do wrong, over real sockets."""

import gzip
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from fetch.lab import FAST, Clock, Lab, audio, make_meeting, replies

from recall_audio.errors import ItemError, TransientError
from recall_audio.fetch.http.retry import Policy, RetryPolicy, TransferPolicy
from recall_audio.standin import Reply, StandIn, StandInOptions, State, meeting

MIX = r"/mix\.mp3"
GONE_BYTES = 40_000


def with_transfer(**limits: Any) -> Policy:
    return replace(FAST, transfer=replace(FAST.transfer, **limits))


def mixed_problem(lab: Lab, policy: Policy = FAST) -> tuple[str | None, str]:
    """The code and the message of a mixed file that could not be had; the parts are here all the same."""
    (recording,) = lab.fetch(policy).recordings
    assert recording.status == "partial"
    assert all(p.media.file for p in recording.meeting.parts)
    assert recording.meeting.mix is not None
    return recording.meeting.mix.problem, recording.reason


def test_an_undisturbed_fetch_brings_every_byte(lab: Lab) -> None:
    with lab.serve(formats=("ogg", "raw", "mp3", "flac", "wav")):
        (recording,) = lab.fetch().recordings
    assert recording.status == "complete"
    assert lab.source("mixed.mp3") == (lab.folder / "mix.mp3").read_bytes()
    for part in recording.meeting.parts:
        file = next((lab.folder / "parts").glob(f"{part.part_id}.*"))
        assert lab.source(file.name) == file.read_bytes()
        assert part.media.length_verified


def test_row_14_a_missing_address_is_asked_for_once_more(lab: Lab) -> None:
    with lab.serve(state=State(null_urls=1)):
        (recording,) = lab.fetch().recordings
    assert recording.status == "complete"
    assert len([p for p in lab.asked("audio_mixed/") if not p.endswith("audio_mixed/")]) == 1


def test_row_14_an_address_that_never_comes_is_final(lab: Lab) -> None:
    with lab.serve(state=State(null_urls=9)), pytest.raises(ItemError) as caught:
        lab.fetch()
    assert caught.value.code == "no_url"
    assert lab.asked("/store/") == []


def test_row_15_a_short_body_is_resumed_where_it_broke(lab: Lab) -> None:
    with lab.serve(replies(MIX, Reply(cut_at=GONE_BYTES))):
        lab.fetch()
    assert lab.source("mixed.mp3") == (lab.folder / "mix.mp3").read_bytes()
    first, second = (r for r in lab.server.requests if r.path.endswith("mix.mp3"))
    assert "range" not in first.headers
    assert second.headers["range"] == f"bytes={GONE_BYTES}-"
    assert second.headers["if-match"].startswith('"')


def test_row_16_progress_starts_the_budget_anew(lab: Lab) -> None:
    """Each attempt brings bytes and then a reset; one budget allows two attempts only."""
    short = RetryPolicy(budget_s=0.0001, wait_first_s=0.001, wait_most_s=0.002)
    with lab.serve(replies(MIX, *[Reply(cut_at=25_000, reset=True)] * 3), n_bytes=200_000):
        result = lab.fetch(replace(FAST, retry=short))
    assert lab.source("mixed.mp3") == (lab.folder / "mix.mp3").read_bytes()
    assert result.retries == 3


def test_row_16_the_deadline_stands_above_all_progress(lab: Lab) -> None:
    forever = replies(MIX, Reply(cut_at=21_000), forever=True)
    with lab.serve(forever, n_bytes=300_000), pytest.raises(TransientError):
        lab.fetch(with_transfer(deadline_s=0.0))
    assert len(lab.asked("mix.mp3")) <= 2


def test_row_16_the_deadline_ends_a_body_that_keeps_arriving(lab: Lab) -> None:
    """Each block of the mix takes a minute, by the clock: one request, ended while its bytes arrive."""
    clock = Clock()
    limits = replace(FAST.transfer, deadline_s=100.0, slow_bytes=0)

    def take_a_minute(what: str, done: int, total: int | None) -> None:
        if what == "mixed":
            arrived.append(done)
            clock.sleep(60.0)

    arrived: list[int] = []
    n_bytes = 1_000_000
    with lab.serve(formats=(), n_bytes=n_bytes), pytest.raises(TransientError) as caught:
        lab.fetch(replace(clock.policy(), transfer=limits), progress=take_a_minute)
    assert caught.value.code == "deadline"
    assert len(arrived) == 2, "the block at 60 s is taken, the one at 120 s is the last"
    assert len(lab.asked("mix.mp3")) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(Reply(ignore_range=True), id="row 17: 200 instead of 206"),
        pytest.param(Reply(shift_bytes=-7), id="row 18: another start"),
        pytest.param(
            Reply(headers={"Content-Range": "bytes 40000-99999/123456"}), id="row 18: another total"
        ),
        pytest.param(Reply(headers={"Content-Range": ""}), id="row 18: no Content-Range"),
        pytest.param(Reply(status=416, body=b""), id="row 20: 416"),
        pytest.param(Reply(status=412, body=b""), id="row 19: 412"),
    ],
)
def test_rows_17_to_20_a_wrong_answer_to_a_range_is_never_appended(lab: Lab, wrong: Reply) -> None:
    with lab.serve(replies(MIX, Reply(cut_at=GONE_BYTES), wrong)):
        (recording,) = lab.fetch().recordings
    mix = (lab.folder / "mix.mp3").read_bytes()
    assert lab.source("mixed.mp3") == mix
    assert recording.meeting.mix is not None
    assert recording.meeting.mix.length_verified
    assert recording.meeting.mix.sha256 == sha256(mix).hexdigest(), "of the file, not of all that arrived"


def test_a_range_that_ends_early_is_not_the_files_end(lab: Lab) -> None:
    """The host announces 20 kB of the 60 kB that are missing and sends them: no connection breaks."""
    make_meeting(lab.folder)
    mix = (lab.folder / "mix.mp3").read_bytes()
    until = GONE_BYTES + 20_000
    stretch = {"Content-Range": f"bytes {GONE_BYTES}-{until - 1}/{len(mix)}"}
    early = Reply(headers=stretch, body=mix[GONE_BYTES:until])
    with lab.serve(replies(MIX, Reply(cut_at=GONE_BYTES), early)):
        (recording,) = lab.fetch().recordings
    assert lab.source("mixed.mp3") == mix
    assert recording.meeting.mix is not None
    assert recording.meeting.mix.length_verified
    ranges = [r.headers.get("range") for r in lab.server.requests if r.path.endswith("mix.mp3")]
    assert ranges == [None, f"bytes={GONE_BYTES}-", f"bytes={until}-"], "the rest of it is requested"


def test_row_19_a_range_of_another_object_is_never_appended(lab: Lab) -> None:
    """The answer ignores If-Match: right range, right length, but the bytes of another object."""
    make_meeting(lab.folder)
    mix = (lab.folder / "mix.mp3").read_bytes()
    other = audio("mp3", 100_000, seed=99)
    assert len(other) == len(mix)
    assert other[GONE_BYTES:] != mix[GONE_BYTES:]
    another = Reply(headers={"ETag": '"another"'}, body=other[GONE_BYTES:])
    with lab.serve(replies(MIX, Reply(cut_at=GONE_BYTES), another)):
        (recording,) = lab.fetch().recordings
    assert lab.source("mixed.mp3") == mix
    assert recording.meeting.mix is not None
    assert recording.meeting.mix.length_verified
    ranges = [r.headers.get("range") for r in lab.server.requests if r.path.endswith("mix.mp3")]
    assert ranges == [None, f"bytes={GONE_BYTES}-", None], "begun anew after the other object's answer"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("path", [MIX, r"parts\.json"], ids=["media", "document"])
def test_a_wait_that_the_media_host_names_is_kept(lab: Lab, path: str, status: int) -> None:
    clock = Clock()
    with lab.serve(replies(path, Reply(status=status, headers={"Retry-After": "7"}))):
        result = lab.fetch(clock.policy())
    assert result.recordings[0].status == "complete"
    assert len(clock.slept) == result.retries == 1
    assert 7.0 <= clock.slept[0] <= 7.0 + FAST.retry.wait_first_s, "as named, and a jitter"


def test_a_wait_beyond_what_is_kept_is_reported_and_not_slept(lab: Lab) -> None:
    """150 s are more than the 120 s that are kept, and less than the clock's budget for retries."""
    clock = Clock()
    later = Reply(status=503, headers={"Retry-After": "150"})
    with lab.serve(replies(MIX, later, forever=True)), pytest.raises(TransientError) as caught:
        lab.fetch(clock.policy())
    assert clock.slept == []
    assert caught.value.facts["retry_after_s"] == 150.0
    assert len(lab.asked("mix.mp3")) == 1


def test_row_19_an_object_replaced_between_attempts_is_fetched_whole(lab: Lab) -> None:
    def replaced(what: str, done: int, total: int | None) -> None:
        if what == "mixed" and done == GONE_BYTES:
            (lab.folder / "mix.mp3").write_bytes((lab.folder / "mix.mp3").read_bytes()[::-1][:-3] + b"new")
            (lab.folder / "mix.mp3").write_bytes(b"ID3" + (lab.folder / "mix.mp3").read_bytes())

    with lab.serve(replies(MIX, Reply(cut_at=GONE_BYTES))):
        lab.fetch(progress=replaced)
    assert lab.source("mixed.mp3") == (lab.folder / "mix.mp3").read_bytes()
    assert lab.source("mixed.mp3")[:3] == b"ID3"


@pytest.mark.parametrize(
    "denied",
    [
        Reply(
            status=403, body=b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
        ),
        Reply(status=400, body=b"<Error><Code>ExpiredToken</Code><Message>gone by</Message></Error>"),
    ],
)
def test_row_21_an_address_that_ends_midway_is_renewed_by_one_retrieve(lab: Lab, denied: Reply) -> None:
    with lab.serve(replies(MIX, Reply(cut_at=GONE_BYTES), denied)):
        lab.fetch()
    assert lab.source("mixed.mp3") == (lab.folder / "mix.mp3").read_bytes()
    assert lab.server.requests[-1].method == "GET"
    retrieves = lab.asked("/audio_mixed/")
    assert len(retrieves) == 1
    assert not retrieves[0].endswith("/audio_mixed/"), "by retrieve, never by list"
    last = [r for r in lab.server.requests if r.path.endswith("mix.mp3")][-1]
    assert last.headers["range"] == f"bytes={GONE_BYTES}-", "it goes on from the byte reached"


def test_row_21_a_new_address_that_is_said_to_have_ended_too_is_tried_again_later(lab: Lab) -> None:
    gone_by = Reply(
        status=403, body=b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
    )
    with lab.serve(replies(MIX, gone_by, gone_by, gone_by)):
        result = lab.fetch()
    assert lab.source("mixed.mp3") == (lab.folder / "mix.mp3").read_bytes()
    assert result.retries == 1
    assert len(lab.asked("/audio_mixed/")) == 2, "one retrieve an attempt"


def test_row_21_parts_renew_their_addresses_together(lab: Lab) -> None:
    gone_by = Reply(
        status=403, body=b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
    )
    with lab.serve(replies("0000.ogg", gone_by), replies("0001.ogg", gone_by), formats=("ogg", "ogg")):
        (recording,) = lab.fetch().recordings
    assert recording.status == "complete"
    assert len([p for p in lab.asked("/audio_separate/") if not p.endswith("/audio_separate/")]) in (1, 2)


def test_row_22_an_address_that_has_ended_is_never_asked(lab: Lab) -> None:
    with lab.serve(options=StandInOptions(ended_urls=1), state=State(events="missing")):
        (recording,) = lab.fetch().recordings
    assert recording.status == "complete"
    assert len(lab.asked("mix.mp3")) == 1


@pytest.mark.parametrize(("life_s", "renewed"), [(30.0, 1), (300.0, 0)])
def test_row_22_an_address_that_ends_within_a_minute_is_renewed_before_it_is_asked(
    lab: Lab, life_s: float, renewed: int
) -> None:
    with lab.serve(options=StandInOptions(url_life_s=life_s)):
        (recording,) = lab.fetch().recordings
    assert recording.status == "complete"
    assert len(lab.asked("mix.mp3")) == 1
    assert len(lab.asked("/audio_mixed/")) == renewed


def test_a_clock_that_is_hours_ahead_stops_nothing(lab: Lab) -> None:
    """By such a clock every address has ended; each artifact is renewed once and then used."""
    import time

    with lab.serve():
        (recording,) = lab.fetch(replace(FAST, now=lambda: time.time() + 86_400.0)).recordings
    assert recording.status == "complete"
    assert len(lab.asked("/audio_mixed/")) == 1


def test_row_23_a_wrong_signature_is_final_after_one_new_address(lab: Lab) -> None:
    body = b"<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>"
    with lab.serve(replies(MIX, Reply(status=403, body=body), forever=True)):
        code, message = mixed_problem(lab)
    assert code == "access_denied"
    assert "SignatureDoesNotMatch" in message
    assert "?" not in message
    assert len(lab.asked("mix.mp3")) == 2
    assert len(lab.asked("/audio_mixed/")) == 1


@pytest.mark.parametrize("length", ["", "abc", "-4"])
def test_row_24_without_a_readable_length_nothing_is_called_verified(lab: Lab, length: str) -> None:
    headers = {"Content-Length": length, "Connection": "close"}
    with lab.serve(replies(MIX, Reply(headers=headers))):
        (recording,) = lab.fetch().recordings
    assert recording.meeting.mix is not None
    assert recording.meeting.mix.length_verified is False
    assert lab.source("mixed.mp3") == (lab.folder / "mix.mp3").read_bytes()


def test_row_25_compressed_audio_is_refused_at_once(lab: Lab) -> None:
    with lab.serve(replies(MIX, Reply(headers={"Content-Encoding": "gzip"}), forever=True)):
        code, _ = mixed_problem(lab)
    assert code == "unexpected_encoding"
    assert len(lab.asked("mix.mp3")) == 1


def test_a_compressed_error_page_is_read_for_its_code(lab: Lab) -> None:
    """By its code the URL has expired: a new one is requested, which the status 400 alone would not do."""
    page = gzip.compress(b"<Error><Code>ExpiredToken</Code><Message>no more</Message></Error>")
    expired = Reply(status=400, body=page, headers={"Content-Encoding": "gzip"})
    with lab.serve(replies(MIX, expired)):
        (recording,) = lab.fetch().recordings
    assert recording.status == "complete"
    assert len([p for p in lab.asked("/audio_mixed/") if not p.endswith("/audio_mixed/")]) == 1


def test_row_26_next_to_nothing_a_second_ends_the_attempt(lab: Lab) -> None:
    drip = Reply(chunk_bytes=1, pause_s=0.01)
    policy = replace(
        FAST,
        retry=replace(FAST.retry, budget_s=0.1),
        transfer=replace(FAST.transfer, slow_window_s=0.1, slow_bytes=1000),
    )
    with lab.serve(replies(MIX, drip, forever=True)), pytest.raises(TransientError) as caught:
        lab.fetch(policy)
    assert caught.value.code == "slow"
    assert len(list(lab.out.glob("*/*/source/0*"))) == 2, "the parts are kept"


def test_row_27_an_endless_body_is_cut_at_the_cap(lab: Lab) -> None:
    with lab.serve(replies(MIX, Reply(endless=True), forever=True)):
        code, _ = mixed_problem(lab, with_transfer(deadline_s=20.0))  # without a cap, no disk is filled
    assert code == "too_large"
    assert len(lab.asked("mix.mp3")) == 1


def test_row_27_a_terabyte_is_refused_before_its_first_byte(lab: Lab) -> None:
    seen: list[tuple[str, int]] = []
    with lab.serve(replies(MIX, Reply(headers={"Content-Length": str(10**12)}), forever=True)):
        (recording,) = lab.fetch(progress=lambda what, done, _: seen.append((what, done))).recordings
    assert recording.code == "too_large"
    assert [what for what, _ in seen if what == "mixed"] == []


@pytest.mark.parametrize(
    "to", ["http://store.example/mix.mp3", "https://10.0.0.7/mix.mp3", "file:///etc/passwd"]
)
def test_row_28_a_redirect_elsewhere_is_not_followed(lab: Lab, to: str) -> None:
    with lab.serve(replies(MIX, Reply(status=302, headers={"Location": to}), forever=True)):
        code, _ = mixed_problem(lab)
    assert code == "url_not_allowed"
    assert len(lab.asked("mix.mp3")) == 1


def test_row_28_a_redirect_to_an_allowed_host_is_followed_once(lab: Lab) -> None:
    make_meeting(lab.folder)
    with StandIn([meeting(lab.folder)], options=StandInOptions(key="canary-key-5f1e9c")) as other:
        once = Reply(status=307, headers={"Location": f"{other.origin}/nowhere"})
        with lab.serve(replies(MIX, once, forever=True)):
            code, _ = mixed_problem(lab)
        assert code == "access_denied", "the other host was asked, unsigned as the address was"
        assert [r.headers.get("authorization") for r in other.requests if "nowhere" in r.path] == [None, None]
        again = Reply(status=307, headers={"Location": "/store/round"})
        with lab.serve(replies("/store/", again, forever=True), state=State(events="missing")):
            with pytest.raises(ItemError) as caught:
                lab.fetch()
            assert caught.value.code == "url_not_allowed"


@pytest.mark.parametrize(
    "body",
    [
        b"<!doctype html><html><body>maintenance</body></html>",
        b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>',
        b"ffconcat version 1.0\nfile '../../recording.json'\n",
        b"#EXTM3U\n#EXTINF:10,\nhttp://169.254.169.254/x.ts\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n",
        b"",
        bytes(range(256)) * 40,
    ],
    ids=["html", "xml", "ffconcat", "hls", "sdp", "empty", "random"],
)
def test_row_34_what_is_no_audio_is_not_kept(lab: Lab, body: bytes) -> None:
    with lab.serve(replies(MIX, Reply(body=body), forever=True)):
        code, message = mixed_problem(lab)
    assert code == "not_audio"
    assert list(lab.out.glob("*/*/source/mixed*")) == []
    assert "169.254" not in message


def test_row_34_text_is_no_headerless_audio_either(lab: Lab) -> None:
    with lab.serve(replies("/parts/", Reply(body=b'{"error": "none"}'), forever=True), formats=("raw",)):
        (recording,) = lab.fetch().recordings
    assert recording.code == "not_audio"


def test_the_bytes_name_the_file_and_the_declared_format_is_kept(lab: Lab) -> None:
    make_meeting(lab.folder, formats=("ogg",))
    part = next((lab.folder / "parts").iterdir())
    part.write_bytes((lab.folder / "mix.mp3").read_bytes())
    with lab.serve():
        (recording,) = lab.fetch().recordings
    (only,) = recording.meeting.parts
    assert only.media.format == "ogg"
    assert only.media.file == f"source/{only.part_id}.mp3"


def test_the_cap_follows_the_declared_duration() -> None:
    limits = TransferPolicy(slack_bytes=1000, most_bytes_per_s=10.0, most_bytes=5000)
    assert limits.cap_bytes(100.0) == 2000
    assert limits.cap_bytes(1e9) == limits.cap_bytes(None) == 5000
