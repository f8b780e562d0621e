"""The stand-in speaks as Recall.ai's published description says, and spoils exactly what it is told to."""

import http.client
import json
import os
import ssl
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import requests
from fetch.lab import make_meeting
from jsonschema import Draft202012Validator

from recall_audio.results.sample import sample_folder
from recall_audio.standin import Fault, Reply, ServedMeeting, StandIn, StandInOptions, State, meeting

SHAPES = json.loads((Path(__file__).parent / "shapes.json").read_text())
PUBLISHED = "RECALL_OPENAPI"
"""Environment variable with the path of Recall.ai's whole OpenAPI description, for a complete check."""

MIX = r"/mix\.mp3"
Session = requests.Session
CHECKER = jsonschema.FormatChecker(formats=["uuid"])


@CHECKER.checks("date-time", raises=ValueError)
def is_a_time(value: object) -> bool:
    """Whether a string is an ISO 8601 time with a zone."""
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def published(schema: Any) -> Any:
    """An OpenAPI 3.0 schema as JSON Schema: ``nullable`` becomes a type of its own."""
    if isinstance(schema, list):
        return [published(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {k: published(v) for k, v in schema.items() if k != "nullable"}
    if isinstance(plain.get("$ref"), str):
        plain["$ref"] = plain["$ref"].replace("#/components/schemas/", "#/$defs/")
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


def assert_fits(value: Any, name: str) -> None:
    """`value` fits the shape, and the whole published schema where that is at hand."""
    definitions = [SHAPES]
    if PUBLISHED in os.environ:
        whole = json.loads(Path(os.environ[PUBLISHED]).read_text(encoding="utf-8"))
        definitions.append({k: published(v) for k, v in whole["components"]["schemas"].items()})
    for known in definitions:
        schema = {"$ref": f"#/$defs/{name}", "$defs": known}
        Draft202012Validator(schema, format_checker=CHECKER).validate(value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_meeting(tmp_path / "meeting", formats=("ogg", "ogg"), n_bytes=5_000)


@pytest.fixture
def session() -> Iterator[Session]:
    with requests.Session() as made:
        made.trust_env = False
        yield made


def ask(session: Session, server: StandIn, path: str, **headers: str) -> requests.Response:
    """A request of the API, with the key."""
    return session.get(
        server.base_url + path,
        headers={"Authorization": f"Token {server.key}", **headers},
        allow_redirects=False,
    )


def mix_url(session: Session, server: StandIn) -> str:
    """A signed address of the mix."""
    listed = ask(session, server, "/audio_mixed/").json()
    return str(listed["results"][0]["data"]["download_url"])


STATES = [
    State(),
    State(shortcuts=False),
    State(mixed="processing", separate="failed", sub_code="x"),
    State(mixed="missing", separate="missing", events="missing", recording="deleted", sub_code="x"),
    State(looks=1, null_urls=1, stale=2),
    State(video="done", transcript="done"),
    State(video="processing", transcript="failed", sub_code="x"),
]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("platform", ["zoom", "microsoft_teams", "google_meet", "webex", "goto_meeting"])
def test_every_answer_fits_the_published_shapes(
    folder: Path, session: Session, state: State, platform: str
) -> None:
    content = json.loads((folder / "meeting.json").read_text()) | {"platform": platform}
    served = ServedMeeting(folder, content, state, "0b0b0b0b-1111-4222-8333-444455556666")
    with StandIn([served], options=StandInOptions(page_size=1)) as server:
        assert_fits(ask(session, server, f"/bot/{served.bot_id}/").json(), "Bot")
        assert_fits(ask(session, server, f"/recording/{served.recording_id}/").json(), "Recording")
        assert_fits(
            ask(session, server, f"/recording/?bot_id={served.bot_id}").json(), "PaginatedRecordingList"
        )
        for kind, name in (("audio_mixed", "AudioMixed"), ("audio_separate", "AudioSeparate")):
            one = f"/{kind}/{served.artifact_id(kind)}/"
            assert_fits(ask(session, server, f"/{kind}/").json(), f"Paginated{name}ArtifactList")
            if state.of(kind) == "missing":
                assert ask(session, server, one).status_code == 404
            else:
                assert_fits(ask(session, server, one).json(), f"{name}Artifact")
        one = f"/participant_events/{served.artifact_id('participant_events')}/"
        if state.events != "missing":
            assert_fits(ask(session, server, one).json(), "ParticipantEventsArtifactShortcut")


def test_a_created_bot_fits_too_and_is_remembered(folder: Path, session: Session) -> None:
    with StandIn([folder]) as server:
        answer = session.post(
            f"{server.base_url}/bot/",
            json={"meeting_url": "https://zoom.us/j/1"},
            headers={"Authorization": f"Token {server.key}"},
        )
    assert answer.status_code == 201
    assert_fits(answer.json(), "Bot")
    assert server.created[0]["sent"] == {"meeting_url": "https://zoom.us/j/1"}


def test_a_created_bot_gives_back_what_was_asked_for(folder: Path, session: Session) -> None:
    asked = {
        "variant": {"zoom": "native"},
        "metadata": {"team": "sales"},
        "recording_config": {"retention": None},
    }
    with StandIn([folder]) as server:
        answer = session.post(
            f"{server.base_url}/bot/",
            json={"meeting_url": "https://teams.microsoft.com/l/1", **asked},
            headers={"Authorization": f"Token {server.key}"},
        )
    assert_fits(answer.json(), "Bot")
    assert {k: answer.json()[k] for k in asked} == asked
    assert answer.json()["meeting_url"]["platform"] == "microsoft_teams"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/bot/", b"", 400),
        ("POST", "/bot/", b"{", 400),
        ("POST", "/bot/", b"[]", 400),
        ("POST", "/bot/", b"\xff\xfe", 400),
        ("POST", "/bot/", b"[" * 50_000, 400),
        ("POST", "/bot/", b"{}", 400),
        ("POST", "/bot/", b'{"meeting_url": 5}', 400),
        ("POST", "/bot/", b'{"meeting_url": "https://zoom.us/j/1", "join_at": "soon"}', 400),
        ("POST", "/bot/", b'{"meeting_url": "https://zoom.us/j/1", "variant": {"zoom": "huge"}}', 400),
        ("POST", "/recording/", b"{}", 405),
        ("PUT", "/bot/", b"{}", 405),
        ("PATCH", "/bot/", b"{}", 405),
        ("DELETE", "/bot/", b"", 405),
        ("GET", "/bot/?page=x", b"", 404),
        ("GET", "/bot/?page=0", b"", 404),
        ("GET", "/bot/?page=99999999999999999999", b"", 404),
        ("GET", "/bot/?join_at_after=x", b"", 400),
        ("GET", "/bot/?platform=pigeon", b"", 400),
        ("GET", "/bot/?platform=", b"", 400),
        ("GET", "/bot/?status=asleep", b"", 400),
        ("GET", "/bot/?platform=zoom&status=done", b"", 200),
        ("GET", "/bot/?join_at_after=2026-01-01", b"", 200),
        ("GET", "/audio_mixed/?cursor=%ff", b"", 404),
        ("GET", "/audio_mixed/?cursor=4pmg", b"", 404),
        ("GET", "/audio_mixed/?recording_id=x", b"", 400),
        ("GET", "/recording/?bot_id=x", b"", 400),
        ("GET", "/nothing/", b"", 404),
        ("GET", "/a/b/c/", b"", 404),
        ("GET", "/", b"", 404),
    ],
)
def test_bad_input_is_answered_and_never_breaks_the_connection(
    folder: Path, session: Session, method: str, path: str, body: bytes, status: int
) -> None:
    with StandIn([folder]) as server:
        answer = session.request(
            method, server.base_url + path, data=body,
            headers={"Authorization": f"Token {server.key}", "Content-Type": "application/json"},
        )  # fmt: skip
        assert answer.status_code == status
        assert isinstance(answer.json(), dict)
        assert ask(session, server, "/bot/").status_code == 200


def test_the_key_is_wanted_and_nothing_is_known_of_strangers(folder: Path, session: Session) -> None:
    with StandIn([folder]) as server:
        bot = f"/bot/{server.bot_ids[0]}/"
        assert ask(session, server, bot).status_code == 200
        assert ask(session, server, bot, Authorization=server.key).status_code == 200
        assert ask(session, server, bot, Authorization="Token other").status_code == 401
        assert ask(session, server, "/bot/00000000-0000-4000-8000-000000000000/").status_code == 404
        without_slash = ask(session, server, bot.rstrip("/"))
        assert (without_slash.status_code, without_slash.headers["Location"][-1]) == (301, "/")


def test_pages_together_hold_every_row_once(folder: Path, session: Session) -> None:
    with StandIn([meeting(folder, State(stale=4))], options=StandInOptions(page_size=2)) as server:
        ids, url = [], f"{server.base_url}/audio_separate/"
        while url:
            page = session.get(url, headers={"Authorization": f"Token {server.key}"}).json()
            ids += [row["id"] for row in page["results"]]
            url = page["next"]
    assert len(ids) == len(set(ids)) == 5


def test_the_store_wants_a_valid_signature_and_no_key(folder: Path, session: Session) -> None:
    with StandIn([folder]) as server:
        url = mix_url(session, server)
        assert session.get(url).content == (folder / "mix.mp3").read_bytes()
        assert session.get(url, headers={"Authorization": f"Token {server.key}"}).status_code == 400
        assert session.get(url.replace("Signature=", "Signature=x")).status_code == 403
        assert session.get(url.split("?")[0]).status_code == 403


def test_an_address_ends(folder: Path, session: Session) -> None:
    with StandIn([folder], options=StandInOptions(ended_urls=1)) as server:
        ended = session.get(mix_url(session, server))
        assert ended.status_code == 403
        assert b"Request has expired" in ended.content
        assert session.get(mix_url(session, server)).status_code == 200


def test_ranges_and_etags_give_the_rest_of_the_same_object(folder: Path, session: Session) -> None:
    whole = (folder / "mix.mp3").read_bytes()
    with StandIn([folder]) as server:
        url = mix_url(session, server)
        etag = session.get(url).headers["ETag"]
        rest = session.get(url, headers={"Range": "bytes=100-", "If-Match": etag})
        assert (rest.status_code, rest.content) == (206, whole[100:])
        assert rest.headers["Content-Range"] == f"bytes 100-{len(whole) - 1}/{len(whole)}"
        assert session.get(url, headers={"Range": f"bytes={len(whole)}-"}).status_code == 416
        assert session.get(url, headers={"If-Match": '"other"'}).status_code == 412


def test_a_fault_hits_the_requests_it_names_and_then_all_is_well(folder: Path, session: Session) -> None:
    script = [Fault("/bot/", [Reply(status=503), Reply(status=429, headers={"Retry-After": "7"})])]
    with StandIn([folder], script) as server:
        path = f"/bot/{server.bot_ids[0]}/"
        answers = [ask(session, server, p) for p in ("/audio_mixed/", path, path, path)]
    assert [a.status_code for a in answers] == [200, 503, 429, 200]
    assert answers[2].headers["Retry-After"] == "7"
    assert server.paths("/bot/") == [f"/api/v1{path}"] * 3


@pytest.mark.parametrize(
    ("reply", "broken"),
    [
        (Reply(cut_at=100), requests.exceptions.RequestException),
        (Reply(cut_at=100, reset=True), requests.exceptions.RequestException),
    ],
)
def test_a_body_that_is_cut_is_a_broken_body(
    folder: Path, session: Session, reply: Reply, broken: type[Exception]
) -> None:
    with StandIn([folder], [Fault(MIX, [reply])]) as server:
        url = mix_url(session, server)
        with pytest.raises(broken):
            _ = session.get(url).content
        assert len(session.get(url).content) > 100


def test_an_endless_body_goes_on_beyond_the_file(folder: Path, session: Session) -> None:
    with StandIn([folder], [Fault(MIX, [Reply(endless=True)])]) as server:
        answer = session.get(mix_url(session, server), stream=True)
        assert len(answer.raw.read(20_000)) == 20_000 > len((folder / "mix.mp3").read_bytes())
        answer.close()


def test_it_can_speak_tls(folder: Path, session: Session, tmp_path: Path) -> None:
    import trustme

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    session.verify = str(tmp_path / "ca.pem")
    with StandIn([folder], tls=context) as server:
        assert server.base_url.startswith("https://")
        assert ask(session, server, f"/bot/{server.bot_ids[0]}/").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "kind", "body", "status"),
    [
        ("PUT", "/bot/", "application/json", b"{}", 405),
        ("TRACE", "/bot/", "", b"", 405),
        ("QUERY", "/recording/", "", b"", 405),
        ("POST", "/bot/", "multipart/form-data", b"x", 415),
        ("POST", "/bot/", "application/json", b"[]", 400),
        ("GET", "/bot/?join_at_before=", "", b"", 400),
        ("GET", "/recording/?bot_id=", "", b"", 400),
        ("GET", "/audio_mixed/?status_code=", "", b"", 400),
        ("GET", "/audio_mixed/?status_code=failed", "", b"", 200),
    ],
)
def test_what_the_description_forbids_is_refused_in_its_words(
    method: str, path: str, kind: str, body: bytes, status: int
) -> None:
    headers = {"Authorization": "Token standin-key"} | ({"Content-Type": kind} if kind else {})
    with StandIn([sample_folder()]) as server:
        to = http.client.HTTPConnection(server.origin.removeprefix("http://"))
        to.request(method, f"/api/v1{path}", body, headers)
        answer = to.getresponse()
        said = json.loads(answer.read())
        to.close()
    assert answer.status == status
    assert (answer.headers["Allow"] is not None) is (status == 405)
    assert status != 200 or said["results"] == []
