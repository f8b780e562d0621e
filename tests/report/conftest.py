"""A real browser, without a window, and folders with a report and its audio for it to open."""

import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from report.meetings import documents

from recall_audio.report import render

SECONDS = 60.0
_QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-default-apps --disable-extensions --mute-audio "
    "--disable-dev-shm-usage --window-size=1280,1600"
)
_BROWSERS = (
    "chromium",
    "google-chrome",
    "chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
)


def need(what: str) -> None:
    """Without the tool a test is skipped; in CI, where it must be there, it fails."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(what)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One headless Chromium for all tests, with a log of its console and of its network."""
    chromium = next(filter(None, map(shutil.which, _BROWSERS)), None)
    chromedriver = shutil.which("chromedriver")
    if not chromium or not chromedriver:
        need(f"this machine has no chromedriver, or none of {', '.join(_BROWSERS)}")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(chromium)
    for argument in _QUIET.split():
        options.add_argument(argument)
    profile = tempfile.mkdtemp()
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(chromedriver)))
    driver.set_script_timeout(120)
    try:
        yield driver
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording's folder: report.html, source/mixed.mp3 and stems/, each a minute of a quiet tone."""
    at = tmp_path_factory.mktemp("recording")
    meeting = documents(4, SECONDS)
    (at / "source").mkdir()
    (at / "stems").mkdir()
    tone = 0.05 * np.sin(2 * np.pi * 220 * np.arange(int(16_000 * SECONDS)) / 16_000)
    soundfile.write(at / "source/mixed.mp3", tone, 16_000, format="MP3")
    for stem in meeting["stems"]["stems"]:
        soundfile.write(at / stem["file"], tone, 16_000, subtype="PCM_16")
    (at / "report.html").write_text(render(meeting), "utf-8")
    return at


class Store(BaseHTTPRequestHandler):
    """Files with byte ranges, as object storage serves them; keeps the paths asked for."""

    root: Path
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        path = self.root / self.path.lstrip("/")
        body = path.read_bytes() if path.is_file() else b""
        first, _, last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        start, end = int(first or 0), int(last or len(body) - 1)
        self.send_response(404 if not body else 206 if first else 200)
        kinds = {".html": "text/html", ".mp3": "audio/mpeg", ".wav": "audio/wav"}
        self.send_header("Content-Type", kinds.get(path.suffix, "application/octet-stream"))
        self.send_header("Accept-Ranges", "bytes")
        if first:
            self.send_header("Content-Range", f"bytes {start}-{end}/{len(body)}")
        self.send_header("Content-Length", str(end + 1 - start))
        self.end_headers()
        self.wfile.write(body[start : end + 1])

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the paths asked for are kept."""


@pytest.fixture(scope="session")
def store(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The same folder over HTTP: its address, and the paths asked for so far."""
    asked: list[str] = []
    handler = type("Handler", (Store,), {"root": folder, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def requests_of(browser: Any) -> Any:
    """The addresses that pages asked for since the last call.

    The browser's own first tab, which may still be loading on a busy machine, counts for none of them; no
    other page may ask for what is its own.
    """

    def since() -> list[str]:
        events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
        asked = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return [r["request"]["url"] for r in asked if not r["documentURL"].startswith("chrome:")]

    return since
