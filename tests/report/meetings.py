"""Made-up meetings, as the JSON files of a recording's folder hold them, by the project's own values."""

import random
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from recall_audio.core.talk.measure import measure_talk
from recall_audio.model.alignment import Alignment, PartAlignment, TimeMap
from recall_audio.model.meeting import MediaFile, Meeting, Part, Participant
from recall_audio.model.options import Options
from recall_audio.model.outcome import Finding
from recall_audio.model.speech import Leak, SpeechResult
from recall_audio.model.talk import Talk

NAMES = (
    "Ann Lee",
    "Björn Ås",
    "Chidi Okafor",
    "Dana Petrova",
    "李小龍",
    "Fátima Núñez",
    "Goran Ivanović",
    "Hana Sato",
    "Imran Khan",
    "Jo",
)


def conversation(n: int, duration_s: float, seed: int = 1) -> dict[str, list[list[float]]]:
    """Who speaks when: turns with gaps and overlaps, and others' short backchannels."""
    rng = random.Random(seed)
    weights = [1.0 / (1 + 0.6 * i) for i in range(n)]
    found: list[list[list[float]]] = [[] for _ in range(n)]
    t, last = rng.uniform(1, 4), -1
    while True:
        who = rng.choices(range(n), weights)[0]
        if who == last and rng.random() < 0.7:
            continue
        length = min(40.0, rng.lognormvariate(1.2, 0.9))
        if t + length > duration_s - 1:
            break
        # A turn is units of speech with short pauses between them.
        at = t
        while at < t + length:
            unit = min(rng.uniform(0.6, 4.0), t + length - at)
            if unit > 0.15:
                found[who].append([round(at, 2), round(at + unit, 2)])
            at += unit + rng.uniform(0.25, 0.9)
        if rng.random() < 0.25 and n > 1:
            other = rng.choice([i for i in range(n) if i != who])
            b = t + rng.random() * length
            found[other].append([round(b, 2), round(b + 0.5, 2)])
        t, last = max(t + 0.3, at + rng.gauss(0.1, 0.7)), who
    return {f"s{i}": _apart(rows) for i, rows in enumerate(found)}


def _apart(rows: list[list[float]]) -> list[list[float]]:
    """Rows in order, joined where they touch."""
    out: list[list[float]] = []
    for start, end in sorted(rows):
        if out and start <= out[-1][1] + 0.2:
            out[-1][1] = max(out[-1][1], end)
        else:
            out.append([start, end])
    return out


def documents(n: int = 5, duration_s: float = 1800.0, seed: int = 1, leaky: bool = False) -> dict[str, Any]:
    """All files of a meeting of `n` people, the last of whom says nothing where n > 4."""
    rng = random.Random(seed)
    labels = [name.replace(" ", "_") for name in NAMES[:n]]
    spoken = dict(zip(labels, conversation(n, duration_s, seed).values(), strict=True))
    if n > 4:
        spoken[labels[-1]] = []
    if n > 1:  # the second one was away for a while
        away = (0.35 * duration_s, 0.45 * duration_s)
        spoken[labels[1]] = [r for r in spoken[labels[1]] if r[1] < away[0] or r[0] > away[1]]
    raw = {label: _leaked(spoken, label) if leaky else rows for label, rows in spoken.items()}
    talk = measure_talk(spoken, duration_s, raw_segments=raw)
    return {
        "recording": _meeting(n, duration_s, rng).to_json(),
        "alignment": _alignment(n, duration_s, rng, leaky).to_json(),
        "speakers": {
            "speakers": {
                label: {"participant_id": 100 + i, "name": NAMES[i], "email": None}
                for i, label in enumerate(labels)
            }
        },
        "segments": _speech(spoken, raw, leaky).to_json(),
        "leakage": _speech(spoken, raw, leaky).leakage_json(),
        "talk": talk.to_json(),
        "events": events(talk),
        "stems": {"stems": [_stem(label, rng) for label in labels]},
        "run": {
            "version": "0.1.0",
            "status": "done",
            "parameters": asdict(Options()),
            "inputs": {},
            "stages": [
                {"name": stage, "status": "done", "seconds": 1.5, "warnings": []}
                for stage in ("decode", "align", "speech", "talk", "stems")
            ],
            "warnings": [],
        },
    }


def events(talk: Talk) -> dict[str, Any]:
    """The overlaps one by one, for the timeline's marks."""
    return {"overlaps": [asdict(o) for o in talk.events.overlaps]}


def _leaked(spoken: dict[str, list[list[float]]], label: str) -> list[list[float]]:
    others = [row for other, rows in spoken.items() if other != label for row in rows[::2]]
    return _apart([list(row) for row in spoken[label] + others])


def _speech(spoken: dict[str, Any], raw: dict[str, Any], leaky: bool) -> SpeechResult:
    labels = list(spoken)
    leaks = [
        Leak(a, b, -9.0 - 6.0 * abs(i - j), 12.0 + 3 * j, 0.97)
        for i, a in enumerate(labels)
        for j, b in enumerate(labels)
        if i != j and leaky and abs(i - j) < 4
    ]
    as_samples = {k: np.round(16000 * np.array(v).reshape(-1, 2)).astype(np.int64) for k, v in spoken.items()}
    raw_samples = {k: np.round(16000 * np.array(v).reshape(-1, 2)).astype(np.int64) for k, v in raw.items()}
    return SpeechResult(as_samples, raw_samples, tuple(leaks))


def _meeting(n: int, duration_s: float, rng: random.Random) -> Meeting:
    parts = [
        Part(f"part_{100 + i}_{k}", 100 + i, start, _file(f"source/part_{100 + i}_{k}.ogg", length))
        for i in range(n)
        for k, (start, length) in enumerate(_pieces(i, duration_s))
    ]
    return Meeting(
        bot={"id": "5f1c9b1e-0d2a-4a57-9a0e-1c1f0e7a2b3c", "name": "Weekly planning", "platform": "zoom"},
        recording={"id": "0b9b6a7e-8f5e-4c7c-bd2f-5c2f9f8d7e6a", "started_at": "2026-11-20T09:00:00Z"},
        participants=tuple(Participant(100 + i, NAMES[i]) for i in range(n)),
        parts=tuple(parts),
        mix=_file("source/mixed.mp3", duration_s),
    )


def _file(path: str, duration_s: float) -> MediaFile:
    return MediaFile(path, path.rpartition(".")[2], 1000, "0" * 64, duration_s, True)


def _pieces(i: int, duration_s: float) -> list[tuple[float, float]]:
    """Start and length of a participant's parts; the second one left and came back."""
    if i == 1:
        return [(0.0, 0.35 * duration_s), (0.45 * duration_s, 0.55 * duration_s)]
    return [(0.0 if i else 0.5, duration_s - (0.0 if i else 0.5))]


def _alignment(n: int, duration_s: float, rng: random.Random, leaky: bool) -> Alignment:
    parts = []
    for i in range(n):
        for k, (start, length) in enumerate(_pieces(i, duration_s)):
            ppm = rng.choice([0.0, 0.0, 38.0, -21.5])
            residuals = tuple(
                (start + length * j / 200, rng.gauss(0, 0.02) + (0.15 if rng.random() < 0.01 else 0.0), 1.0)
                for j in range(200)
            )
            moved = start + rng.gauss(0, 0.08)
            part = PartAlignment(
                f"part_{100 + i}_{k}",
                100 + i,
                start,
                TimeMap.straight(moved, length, ppm),
                "aligned",
                ppm,
                round(rng.uniform(0.97, 1.0), 3),
                round(rng.uniform(0.02, 0.08), 3),
                residuals=residuals,
            )
            parts.append(part)
    if leaky:
        parts[1] = replace(
            parts[1],
            status="no_match",
            drift_ppm=None,
            confidence=0.02,
            uncertainty_ms=None,
            reason="Nothing in the mix sounds like this part.",
            residuals=(),
        )
        half = duration_s / 2
        end = (duration_s - 3, duration_s - 0.25)
        stepping = TimeMap(((0.0, 0.4), (half, half + 0.4), (half, half + 2.75), end))
        parts[0] = replace(parts[0], status="step", time_map=stepping, drift_ppm=0.0, uncertainty_ms=0.3)
    findings = (Finding("encoder_delay", "A note from the aligner.", severity="note"),)
    return Alignment(tuple(parts), duration_s, not leaky, findings)


def _stem(label: str, rng: random.Random) -> dict[str, Any]:
    before = round(rng.uniform(-40, -20), 2)
    return {
        "file": f"stems/{label}.wav",
        "participant": label,
        "integrated_lufs_before": before,
        "integrated_lufs_after": -23.0,
        "true_peak_dbtp_after": -3.2,
        "gain_db": round(-23.0 - before, 2),
        "gain_set_by": "target",
    }


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "]]>\u2028</script>\u202e\u2066{{7*7}}\x00\x1b[31m",
    "\ud800'half& &amp; \u0007" + "😀" * 400,
)


def hostile() -> dict[str, Any]:
    """A meeting of four people whose names, and whose other texts, are meant to break out of the page."""
    meeting = documents(4, 60.0)
    for entry, name in zip(meeting["speakers"]["speakers"].values(), HOSTILE, strict=True):
        entry["name"] = name
    meeting["recording"]["bot"]["name"] = HOSTILE[0]
    meeting["recording"]["bot"]["platform"] = HOSTILE[1]
    for i, part in enumerate(meeting["alignment"]["parts"]):
        part["part_id"] = HOSTILE[i % 4]
    for stem in meeting["stems"]["stems"]:
        stem["gain_set_by"] = HOSTILE[1]
    meeting["run"]["parameters"] = {HOSTILE[0]: HOSTILE[1], **meeting["run"]["parameters"]}
    del meeting["run"]["parameters"]["align"]["enabled"]
    return meeting
