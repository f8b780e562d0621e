"""The page in a real browser: what a reader sees, hears and can do."""

import csv
import json
import os
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from report.conftest import SECONDS, need
from report.meetings import HOSTILE, documents, hostile

from recall_audio.report import index_row, render, render_index

WAIT_S = 10.0


def until(browser: Any, condition: str, *arguments: Any) -> Any:
    """The value of a JavaScript expression as soon as it is true."""
    from selenium.webdriver.support.wait import WebDriverWait

    wait = WebDriverWait(browser, WAIT_S, poll_frequency=0.05)
    return wait.until(lambda b: b.execute_script(f"return {condition}", *arguments), condition)


def shown(browser: Any) -> tuple[int, int]:
    """The stretch shown, in whole seconds, as the page says it; after all drawing is done."""
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    times = re.findall(r"(\d+):(\d\d):(\d\d)", browser.find_element("id", "window").text)
    first, last = (3600 * int(h) + 60 * int(m) + int(s) for h, m, s in times)
    return first, last


def click_at(browser: Any, share: float, lane: int) -> None:
    """Click on a lane, at a share of the timeline's width."""
    from selenium.webdriver import ActionChains

    stage = browser.find_element("id", "stage")
    size = stage.size
    x, y = round(size["width"] * (share - 0.5)), 26 + 36 * lane + 18 - round(size["height"] / 2)
    ActionChains(browser).move_to_element_with_offset(stage, x, y).click().perform()


def console_errors(browser: Any) -> list[str]:
    """What the console complained of since the last call."""
    return [e["message"] for e in browser.get_log("browser") if e["level"] in {"SEVERE", "WARNING"}]


@pytest.fixture
def page(browser: Any, folder: Path, requests_of: Any) -> Any:
    """The report opened from the disk."""
    browser.get_log("browser")
    requests_of()
    browser.get((folder / "report.html").as_uri())
    return browser


def test_it_renders_without_a_complaint_and_asks_for_nothing(
    page: Any, folder: Path, requests_of: Any
) -> None:
    painted = page.execute_script(
        "const c = document.getElementById('lanes'), ink = c.getContext('2d');"
        "const pixels = new Uint32Array(ink.getImageData(0, 0, c.width, c.height).data.buffer);"
        "return new Set(pixels).size"
    )
    assert painted > 6  # four speakers' colours, paper, lines
    assert shown(page) == (0, SECONDS)
    assert console_errors(page) == []
    own = (folder / "report.html").as_uri()
    assert {url for url in requests_of() if not url.startswith("data:")} == {own}


def test_nothing_but_the_page_is_fetched_from_a_store_until_something_is_played(
    browser: Any, store: tuple[str, list[str]]
) -> None:
    address, asked = store
    asked.clear()
    browser.get(f"{address}/report.html")
    shown(browser)
    assert asked == ["/report.html"]
    click_at(browser, 0.5, 0)
    until(
        browser,
        "!document.getElementById('audio').paused && document.getElementById('audio').currentTime > 30",
    )
    browser.find_element("id", "play").click()
    assert set(asked) == {"/report.html", "/source/mixed.mp3"}
    assert console_errors(browser) == []


@pytest.mark.parametrize(("share", "lane"), [(0.25, 0), (0.75, 2)])
def test_a_click_plays_the_mix_from_there(page: Any, share: float, lane: int) -> None:
    page.execute_script(
        "const audio = document.getElementById('audio'); window.sought = [];"
        "audio.addEventListener('seeking', () => sought.push(audio.currentTime))"
    )
    click_at(page, share, lane)
    until(page, "document.getElementById('audio').currentTime > arguments[0] + 0.8", share * SECONDS)
    # It went to where the click was, to a pixel, and plays on from there, to be heard.
    assert page.execute_script("return sought") == [pytest.approx(share * SECONDS, abs=0.1)]
    assert not page.execute_script("return document.getElementById('audio').muted")
    page.find_element("id", "play").click()
    assert page.execute_script("return document.getElementById('audio').paused")
    assert page.execute_script("return document.getElementById('audio').currentSrc").endswith(
        "/source/mixed.mp3"
    )
    # The cursor went along with the sound.
    cursor = page.find_element("id", "cursor").rect["x"] - page.find_element("id", "stage").rect["x"]
    heard = page.execute_script("return document.getElementById('audio').currentTime")
    assert abs(cursor / page.find_element("id", "stage").size["width"] * SECONDS - heard) < 0.3
    assert console_errors(page) == []


def test_a_click_plays_the_stem_of_its_lane_where_that_is_chosen(page: Any) -> None:
    page.execute_script(
        "const s = document.getElementById('source'); s.value = 'lane'; s.dispatchEvent(new Event('change'))"
    )
    click_at(page, 0.5, 1)
    until(
        page,
        "document.getElementById('audio').currentTime >= 29.8 && !document.getElementById('audio').paused",
    )
    name = page.find_element("css selector", "#names li:nth-child(2)").text
    source = page.execute_script("return decodeURIComponent(document.getElementById('audio').currentSrc)")
    assert source.endswith(f"/stems/{name.replace(' ', '_')}.wav")
    page.find_element("id", "play").click()


def test_audio_that_is_not_there_is_said_and_breaks_nothing(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(render(documents(3, 60.0)), "utf-8")
    browser.get((tmp_path / "report.html").as_uri())
    click_at(browser, 0.5, 0)
    assert "cannot be played" in until(browser, "document.getElementById('trouble').textContent")
    browser.get_log("browser")  # the browser itself logs the missing file


def test_zoom_and_pan_by_button_wheel_drag_and_overview(page: Any) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    page.find_element("id", "zoom-in").click()
    assert shown(page) == (0, 30)  # about the cursor, at the start
    page.find_element("id", "pan-on").click()
    assert shown(page) == (15, 45)
    stage = page.find_element("id", "stage")
    width = stage.size["width"]
    ActionChains(page).drag_and_drop_by_offset(stage, -round(width / 3), 0).perform()
    first, last = shown(page)
    assert (abs(first - 25), last - first) == (0, 30)
    assert page.execute_script("return document.getElementById('audio').paused")  # a drag is no click
    page.execute_script(
        "const s = arguments[0], b = s.getBoundingClientRect();"
        "const at = {clientX: b.left + b.width / 2, clientY: b.top + 40, bubbles: true, cancelable: true};"
        "s.dispatchEvent(new WheelEvent('wheel', {deltaY: -60, ctrlKey: true, ...at}))",
        stage,
    )
    first, last = shown(page)
    assert last - first < 30
    assert abs((first + last) / 2 - 40) <= 1  # what is under the pointer stays there
    page.find_element("id", "zoom-all").click()
    assert shown(page) == (0, SECONDS)
    before = shown(page)
    ActionChains(page).scroll_from_origin(ScrollOrigin.from_element(stage), 0, 100).perform()
    assert shown(page) == before  # a plain wheel scrolls the page
    assert console_errors(page) == []


def test_all_of_the_timeline_works_by_keyboard(page: Any) -> None:
    from selenium.webdriver import Keys

    stage = page.find_element("id", "stage")
    page.execute_script("arguments[0].focus()", stage)
    stage.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.SHIFT + Keys.ARROW_RIGHT)
    assert stage.get_attribute("aria-valuenow") == "12"
    stage.send_keys(Keys.NULL, "+")
    first, last = shown(page)
    assert last - first == 30
    assert first <= 12 <= last
    stage.send_keys(Keys.END)
    assert stage.get_attribute("aria-valuenow") == "60"
    stage.send_keys(Keys.HOME, "n")
    spoken = documents(4, SECONDS)["segments"]["speakers"]
    first, label = min((row[0], label) for label, rows in spoken.items() for row in rows)
    name = documents(4, SECONDS)["speakers"]["speakers"][label]["name"]
    assert stage.get_attribute("aria-valuetext") == f"0:00:{round(first):02d}, {name} speaking"
    stage.send_keys(" ")
    until(page, "!document.getElementById('audio').paused")
    stage.send_keys(" ")
    until(page, "document.getElementById('audio').paused")


def test_the_table_of_the_timeline_lists_the_same_speech(page: Any) -> None:
    meeting = documents(4, SECONDS)
    page.execute_script("document.getElementById('speech').open = true")
    until(page, "document.querySelectorAll('#speech-rows tr').length")
    rows = page.execute_script(
        "const texts = row => [...row.cells].slice(0, 3).map(cell => cell.textContent);"
        "return [...document.querySelectorAll('#speech-rows tr')].map(texts)"
    )
    real = {label: entry["name"] for label, entry in meeting["speakers"]["speakers"].items()}
    wanted = sorted(
        (f"{a:05.2f}", real[label], f"{b:05.2f}")
        for label, spans in meeting["segments"]["speakers"].items()
        for a, b in spans
    )
    assert sorted((start[5:], name, end[5:]) for name, start, end in rows) == wanted


def test_the_denominator_is_a_choice(page: Any) -> None:
    talk = documents(4, SECONDS)["talk"]["speakers"]["Ann_Lee"]
    row = next(r for r in page.find_elements("css selector", ".bars tbody tr") if "Ann Lee" in r.text)
    for key in ("share_of_meeting", "share_of_speech", "share_of_talk"):
        page.find_element("css selector", f"[value={key}]").click()
        assert row.find_element("css selector", ".share").text == f"{100 * talk[key]:.1f} %"
        width = row.find_element("css selector", ".fill").get_attribute("width")
        assert float(width) == pytest.approx(100 * talk[key], abs=0.01)


def test_names_stay_text(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(render(hostile()), "utf-8")
    (tmp_path / "index.html").write_text(
        render_index([{"title": n, "reason": n, "speakers": [n]} for n in HOSTILE]), "utf-8"
    )
    for name in ("report.html", "index.html"):
        browser.get_log("browser")
        browser.get((tmp_path / name).as_uri())
        assert "<script>alert(1)</script>" in browser.find_element("tag name", "body").text
        assert browser.execute_script("return document.scripts.length") == 2
        assert browser.execute_script("return document.images.length") == 0
        assert console_errors(browser) == []  # an alert would have failed the call above


def test_a_question_mark_quotes_the_definition_and_any_key_takes_it_away(page: Any) -> None:
    from selenium.webdriver import ActionChains, Keys

    link = page.find_element("css selector", "a.what[href='#d-turns']")
    page.execute_script(
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'}); arguments[0].click()", link
    )
    bubble = page.find_element("id", "what")
    defined = page.find_element("css selector", "#d-turns dd").text
    assert bubble.is_displayed()
    assert bubble.find_element("tag name", "p").text in defined
    box = bubble.rect
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 1280
    ActionChains(page).send_keys(Keys.ESCAPE).perform()
    assert not bubble.is_displayed()
    assert console_errors(page) == []


def saved(browser: Any, selector: str) -> str:
    """The content of the file that a button saves."""
    browser.execute_script(
        "window.blobs = []; window.make = window.make || URL.createObjectURL;"
        "URL.createObjectURL = (blob) => { blobs.push(blob); return make.call(URL, blob); };"
        "HTMLAnchorElement.prototype.click = () => {};"
        "document.querySelector(arguments[0]).click()",
        selector,
    )
    until(browser, "window.blobs.length")
    return str(browser.execute_async_script("blobs[0].text().then(arguments[0])"))


def test_tables_and_pictures_are_saved_as_they_stand(page: Any) -> None:
    talk = documents(4, SECONDS)["talk"]["speakers"]
    rows = list(
        csv.DictReader(saved(page, "[aria-label='CSV: talk of each person']").lstrip("\ufeff").splitlines())
    )
    by_name = {r["speaker"]: r for r in rows}
    assert float(by_name["Ann Lee"]["talk_s"]) == talk["Ann_Lee"]["talk_s"]
    assert float(by_name["Ann Lee"]["exclusive_s"]) == talk["Ann_Lee"]["exclusive_s"]
    for name in ("timeline", "talk over time"):
        picture = ElementTree.fromstring(saved(page, f"[aria-label='SVG: {name}']"))  # noqa: S314 - our own picture
        fills = {e.get("fill") for e in picture.iter() if e.tag.endswith("rect")}
        assert len(fills) >= 4, name
    drawn = saved(page, "[aria-label='SVG: timeline']")
    assert all(name in drawn for name in by_name)
    page.execute_script("document.querySelector(\"[aria-label='PNG: timeline']\").click()")
    assert until(page, "blobs.length > 1 && blobs[1].type") == "image/png"
    assert page.execute_script("return blobs[1].size") > 5000
    assert console_errors(page) == []


def test_a_word_of_the_transcript_plays_and_is_found(browser: Any, folder: Path) -> None:
    words = [{"text": w, "start_s": 20.0 + i, "end_s": None} for i, w in enumerate(("Shall", "we", "begin"))]
    first = {"start_s": 20.0, "end_s": 23.0, "speaker": "Ann_Lee", "text": "Shall we begin", "words": words}
    more = [
        {"start_s": 30.0 + i / 100, "end_s": 40.0, "speaker": "Björn_Ås", "text": f"line {i}"}
        for i in range(900)
    ]
    meeting = {**documents(4, SECONDS), "transcript": {"segments": [first, *more]}}
    (folder / "said.html").write_text(render(meeting), "utf-8")
    browser.get_log("browser")
    browser.get((folder / "said.html").as_uri())
    until(browser, "document.querySelectorAll('#said li').length")
    assert browser.execute_script("return document.querySelectorAll('#said li').length") <= 160
    word = browser.find_element("css selector", "#said [data-t='21']")
    assert word.text == "we"
    word.click()
    until(browser, "document.getElementById('audio').currentTime > 21")
    browser.find_element("id", "play").click()
    until(browser, "document.querySelector('#said [aria-current]')")
    browser.find_element("id", "find").send_keys("line 899")
    assert until(browser, "document.querySelectorAll('#said li').length === 1")
    assert browser.find_element("id", "said-about").text == "1 passage found"
    assert console_errors(browser) == []


def test_the_index_sorts_and_searches(browser: Any, tmp_path: Path) -> None:
    rows = [
        {"title": "Beta", "status": "done", "duration_s": 600, "href": "b/report.html"},
        {"title": "alpha", "status": "failed", "reason": "It was deleted.", "bot_id": "bot-7"},
        {"title": "Gamma", "status": "done", "duration_s": 5400, "href": "g/report.html"},
    ]
    (tmp_path / "index.html").write_text(render_index(rows), "utf-8")
    browser.get((tmp_path / "index.html").as_uri())

    def listed() -> list[str]:
        rows = browser.find_elements("css selector", "#rows tbody tr")
        return [r.find_element("tag name", "bdi").text for r in rows if r.is_displayed()]

    heads = browser.find_elements("css selector", "#rows thead button")
    heads[0].click()
    assert listed() == ["alpha", "Beta", "Gamma"]
    heads[3].click()
    heads[3].click()
    assert listed() == ["Gamma", "Beta", "alpha"]
    browser.find_element("id", "search").send_keys("DELETED bot")
    assert listed() == ["alpha"]
    browser.find_element("id", "search").clear()
    browser.find_element("id", "search").send_keys("a")
    browser.find_element("id", "only-bad").click()
    assert listed() == ["alpha"]
    assert browser.find_element("id", "found").text == "1 of 3 shown"
    assert console_errors(browser) == []


def test_the_index_filters_meetings_and_what_it_says_of_people(browser: Any, tmp_path: Path) -> None:
    def row(number: int, platform: str, team: str, share: float) -> dict[str, Any]:
        talk = [{"label": "Ann", "name": "Ann", "keys": ["email:a@x.org"], "share": share, "talk_s": 1.0}]
        facts = {
            "title": f"M{number}",
            "recording_id": f"r{number}",
            "started_at": f"2026-01-0{number}T09:00:00Z",
        }
        return {**facts, "status": "done", "platform": platform, "metadata": [f"team={team}"], "talk": talk}

    rows = [row(1, "Zoom", "a", 0.2), row(2, "Webex", "b", 0.4), row(3, "Zoom", "b", 0.9)]
    (tmp_path / "index.html").write_text(render_index(rows), "utf-8")
    browser.get_log("browser")
    browser.get((tmp_path / "index.html").as_uri())

    def seen() -> tuple[list[str], str, str]:
        names = browser.execute_script(
            "return [...document.querySelectorAll('#rows tbody tr')].filter(r => !r.hidden)"
            ".map(r => r.querySelector('bdi').textContent)"
        )
        cells = browser.find_element("css selector", ".multiples li")
        return names, *(cells.find_element("css selector", c).text for c in (".count", ".mean"))

    def choose(**values: str) -> None:
        for name in ("platform", "metadata", "from", "to"):
            value = values.get(name.replace("from", "since"), "")
            browser.execute_script(
                "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
                "e.dispatchEvent(new Event('input', {bubbles: true}))",
                name,
                value,
            )

    assert seen() == (["M1", "M2", "M3"], "3", "50.0 %")
    choose(platform="Zoom")
    assert seen() == (["M1", "M3"], "2", "55.0 %")
    choose(metadata="team=b", since="2026-01-03")
    assert seen() == (["M3"], "1", "90.0 %")
    choose(to="2026-01-02")
    assert seen() == (["M1", "M2"], "2", "30.0 %")
    long = list(csv.DictReader(saved(browser, "[aria-label='CSV: people, a row a meeting']").splitlines()))
    assert [(r["meeting"], float(r["share_of_talk"])) for r in long] == [("M1", 0.2), ("M2", 0.4)]
    drawn = ElementTree.fromstring(saved(browser, "[aria-label='SVG: people']"))  # noqa: S314 - our own
    assert sum(e.tag.endswith("rect") for e in drawn.iter()) == 1 + 1 + 2, "paper, line, a bar a meeting"
    assert console_errors(browser) == []


def test_it_prints_on_white_within_the_paper_whatever_the_screen_looks_like(page: Any) -> None:
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    painted = "[...document.getElementById('lanes').getContext('2d').getImageData(1, 40, 1, 1).data].join()"
    light = page.execute_script(f"return {painted}")
    try:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": dark})
        until(page, f"{painted} !== arguments[0]", light)
        paper = {"width": 800, "height": 1100, "deviceScaleFactor": 1, "mobile": False}
        page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", paper)
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": dark})
        until(page, f"{painted} === arguments[0]", light)
        body = page.find_element("tag name", "body")
        assert body.value_of_css_property("background-color") == "rgba(255, 255, 255, 1)"
        assert (
            page.execute_script("return document.querySelector('.bars').getBoundingClientRect().right") <= 800
        )
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1280)])
def test_an_accessibility_checker_finds_nothing_serious(
    browser: Any, tmp_path: Path, scheme: str, width: int
) -> None:
    axe = os.environ.get("RECALL_AUDIO_AXE")
    if not axe:
        need("RECALL_AUDIO_AXE does not name axe-core's axe.min.js")
    meeting = documents(3, 60.0, leaky=True)
    meeting["stems"]["residual"] = {"explained": 0.9, "unexplained": [[5.0, 8.0]]}
    (tmp_path / "report.html").write_text(render(meeting), "utf-8")
    rows = [index_row(meeting, "report.html"), {"bot_id": "b2", "status": "failed", "reason": "Gone."}]
    (tmp_path / "index.html").write_text(render_index(rows), "utf-8")
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    screen = {"width": width, "height": 1600, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        for name in ("report.html", "index.html"):
            browser.get((tmp_path / name).as_uri())
            browser.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
            assert browser.execute_script("return document.documentElement.scrollWidth") <= width
            browser.execute_script(Path(str(axe)).read_text("utf-8"))
            found = browser.execute_async_script("axe.run({resultTypes: ['violations']}).then(arguments[0])")
            assert found["passes"]
            bad = [v for v in found["violations"] if v["impact"] in {"serious", "critical"}]
            assert not bad, json.dumps([[v["id"], [n["html"] for n in v["nodes"][:3]]] for v in bad])
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
