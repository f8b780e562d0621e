"""Key, region and addresses: checked before any request, never shown."""

import io
import logging
import pickle
from pathlib import Path

import pytest
import requests
import urllib3

from recall_audio.errors import ItemError, KeyRefused, RecallAudioError, UsageError
from recall_audio.fetch import Settings
from recall_audio.fetch.api.settings import REGIONS
from recall_audio.fetch.http import sessions, urls

API = ("https", "us-west-2.recall.ai", 443)
LOOPBACK = ("http", "127.0.0.1", 8000)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting from outside, an empty current folder."""
    for name in ("RECALL_API_KEY", "RECALL_REGION", "RECALL_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "key", ["", " ", "secret\n", "sec ret", "\u201csecret\u201d", "secret\x7f", "secret\u00e9", "secr\tet"]
)
def test_row_31_a_key_that_cannot_be_sent_is_refused_and_not_printed(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("RECALL_API_KEY", key)
    with pytest.raises(KeyRefused) as caught:
        Settings.from_environment()
    assert "RECALL_API_KEY" in str(caught.value)
    assert not key.strip() or key.strip()[:3] not in str(caught.value) + repr(caught.value)


def test_no_key_is_a_wrong_call() -> None:
    with pytest.raises(UsageError) as caught:
        Settings.from_environment()
    assert caught.value.code == "no_key"


def test_the_key_is_in_no_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECALL_API_KEY", "canary-key")
    settings = Settings.from_environment()
    signs = sessions.BoundToken(settings.key, settings.origin)
    assert "canary-key" not in repr(settings) + str(settings) + repr(signs)


def test_the_environment_goes_before_the_env_file_and_the_option_before_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env").write_text("RECALL_API_KEY='from-file'\nRECALL_REGION=eu-central-1\n")
    assert Settings.from_environment().key == "from-file"
    assert Settings.from_environment().base_url == "https://eu-central-1.recall.ai/api/v1"
    monkeypatch.setenv("RECALL_API_KEY", "from-environment")
    monkeypatch.setenv("RECALL_REGION", "us-east-1")
    assert Settings.from_environment().key == "from-environment"
    assert Settings.from_environment().region == "us-east-1"
    assert Settings.from_environment("ap-northeast-1").base_url == "https://ap-northeast-1.recall.ai/api/v1"


def test_an_env_file_of_another_folder_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("RECALL_API_KEY=from-parent\n")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    with pytest.raises(UsageError):
        Settings.from_environment()


def test_the_default_region_is_that_of_pay_as_you_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECALL_API_KEY", "k")
    assert Settings.from_environment().base_url == "https://us-west-2.recall.ai/api/v1"


@pytest.mark.parametrize("region", ["us west", "evil.example/", "us-west-2.evil", "US-WEST-2", "x"])
def test_what_is_no_region_is_refused(monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    monkeypatch.setenv("RECALL_API_KEY", "k")
    with pytest.raises(UsageError):
        Settings.from_environment(region)


def test_a_region_that_is_not_known_is_refused_at_once_and_the_known_ones_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RECALL_API_KEY", "a-key")
    monkeypatch.delenv("RECALL_BASE_URL", raising=False)
    with pytest.raises(UsageError) as refused:
        Settings.from_environment("mars-north-1")
    assert all(region in refused.value.hint for region in REGIONS)
    monkeypatch.setenv("RECALL_BASE_URL", "https://mars-north-1.recall.ai")
    assert Settings.from_environment("mars-north-1").base_url == "https://mars-north-1.recall.ai/api/v1"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/api/v1"),
        ("http://localhost:8000/api/v1/", "http://localhost:8000/api/v1"),
        ("https://proxy.example/recall", "https://proxy.example/recall"),
        ("http://proxy.example", None),
        ("https://me:pw@proxy.example", None),
        ("https://proxy.example/?key=1", None),
        ("proxy.example", None),
        ("file:///tmp", None),
    ],
)
def test_the_base_url_is_https_or_loopback(
    monkeypatch: pytest.MonkeyPatch, given: str, used: str | None
) -> None:
    monkeypatch.setenv("RECALL_API_KEY", "k")
    monkeypatch.setenv("RECALL_BASE_URL", given)
    if used is None:
        with pytest.raises(UsageError) as caught:
            Settings.from_environment()
        assert "pw" not in str(caught.value)
    else:
        assert Settings.from_environment().base_url == used


@pytest.mark.parametrize(
    "url",
    [
        "https://us-west-2.recall.ai/x?Signature=s",
        "https://us-west-2-recallai-production-bot-data.s3.amazonaws.com/x",
        "https://bucket.recallai.s3.us-west-2.amazonaws.com/x",
        "https://media.mine.example/x",
        "https://deep.below.example/x",
    ],
)
def test_media_come_from_recalls_hosts_and_allowed_ones(url: str) -> None:
    urls.check_media(url, API, ("media.mine.example", ".below.example"))


@pytest.mark.parametrize(
    "url",
    [
        "http://us-west-2.recall.ai/x",
        "https://us-west-2.recall.ai:8443/x",
        "https://recall.ai.evil.example/x",
        "https://evilrecall.ai/x",
        "https://bucket.s3.amazonaws.com/recallai",
        "https://recallai.amazonaws.com.evil.example/x",
        "https://us-west-2.recall.ai@evil.example/x",
        "https://evil.example\\@us-west-2.recall.ai/x",
        "https://us-west-2.recall.ai./x",
        "https://us-west-2.recall.ai%2eevil.example/x",
        "https://127.0.0.1/x",
        "https://localhost/x",
        "https://[::1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://0x7f000001/x",
        "https://2130706433/x",
        "https://10.0.0.1/x",
        "https://us-west-2.recall.ai:99999/x",
        "https:///x",
        "ftp://us-west-2.recall.ai/x",
        "//us-west-2.recall.ai/x",
        "",
        "https://us-west-2.recall.ai/a b",
        "https://us-west-2.recall.ai/\r\nHost: evil",
        "https://us-wеst-2.recall.ai/x",  # a Cyrillic letter
    ],
)
def test_row_11_no_other_address_is_media(url: str) -> None:
    with pytest.raises(ItemError) as caught:
        urls.check_media(url, API)
    assert caught.value.code == "url_not_allowed"


def test_loopback_is_allowed_only_beside_a_loopback_api() -> None:
    urls.check_media("http://127.0.0.1:9/x", LOOPBACK)
    for url in ("http://10.0.0.1/x", "http://169.254.169.254/x", "http://evil.example/x"):
        with pytest.raises(ItemError):
            urls.check_media(url, LOOPBACK)


def test_a_shown_address_has_no_query_no_user_and_no_control_character() -> None:
    shown = urls.shown("https://me:pw@host.example/a\x1b[31mb?Signature=canary#frag")
    assert shown == "https://host.example/a?[31mb"


@pytest.mark.parametrize(
    ("url", "ends_at"),
    [
        ("https://h/x?Expires=1700000000&Signature=a", 1_700_000_000.0),
        ("https://h/x?X-Amz-Date=20231114T221320Z&X-Amz-Expires=3600", 1_700_003_600.0),
        ("https://h/x?Expires=soon", None),
        ("https://h/x?X-Amz-Date=never&X-Amz-Expires=1", None),
        ("https://h/x", None),
        ("https://h/x?Expires=" + "9" * 400, None),
    ],
)
def test_the_end_of_a_signed_address_is_read(url: str, ends_at: float | None) -> None:
    assert urls.expires_at(url) == ends_at


@pytest.mark.parametrize(
    "url",
    ["http://us-west-2.recall.ai/x", "https://us-west-2.recall.ai:444/x", "https://us-east-1.recall.ai/x"],
)
def test_row_10_the_key_signs_one_origin_only(url: str) -> None:
    sign = sessions.BoundToken("canary-key", API)
    request = requests.Request("GET", url).prepare()
    with pytest.raises(RecallAudioError) as caught:
        sign(request)
    assert "canary-key" not in repr(pickle.dumps(caught.value))
    assert "Authorization" not in request.headers


def test_urllib3_logs_no_query(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    log = logging.getLogger("urllib3.connectionpool")
    log.debug('%s "%s %s HTTP/1.1" %s', "https://h:443", "GET", "/x?Signature=canary", 200)
    log.warning(
        "Failed to parse headers (url=%s): %s", "https://h/x?Signature=canary", ValueError("x?s=canary")
    )
    assert "canary" not in caplog.text
    assert "GET /x?... HTTP/1.1" in caplog.text


@pytest.mark.parametrize(("most_bytes", "is_accepted"), [(10, True), (11, True), (9, False)])
def test_a_body_of_exactly_the_most_bytes_is_accepted(most_bytes: int, is_accepted: bool) -> None:
    response = requests.Response()
    response.raw = urllib3.HTTPResponse(io.BytesIO(b"0123456789"), preload_content=False)
    if is_accepted:
        assert sessions.capped_body(response, "https://h.example/x", most_bytes, 60.0) == b"0123456789"
        return
    with pytest.raises(ItemError) as caught:
        sessions.capped_body(response, "https://h.example/x", most_bytes, 60.0)
    assert caught.value.code == "too_large"
