"""Make meetings for the second notebook: small ones with synthetic voices, long ones without any sound.

In `round` meetings the floor goes round. In `chaired` ones the chair takes every other turn. Each meeting is
a folder with what a recorder returns, in the layout of the package's sample. Long ones are who speaks when
alone, in which a chair takes the floor twice as readily as the same person would otherwise. Your own meetings
do not need this module.
"""

import json
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from recall_audio.results.sample import sample_folder

sys.path.insert(0, str(sample_folder()))  # the sample's voices and codecs
import render
import voices

RATE_HZ = 16_000
STARTED = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PEOPLE = ("Ada Okoye", "Bela Novak", "Chloe Martin", "Deniz Kaya", "Emil Berg", "Farah Aziz")


@dataclass(frozen=True)
class Plan:
    """One meeting: its number, its kind, its people (numbers of PEOPLE), its length."""

    number: int
    kind: str
    people: tuple[int, ...]
    length_s: float

    @property
    def recording_id(self) -> str:
        """Return an id that is the same in every run."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"notebook/{self.number}"))


def plans(n: int = 6, seed: int = 1) -> list[Plan]:
    """Return meetings of both kinds, of three or four people each, of different lengths."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(n):
        size = 3 + number // 2 % 2
        people = tuple(int(p) for p in rng.permutation(len(PEOPLE))[:size])
        found.append(Plan(number, ("round", "chaired")[number % 2], people, float(rng.integers(20, 34))))
    return found


def turns(plan: Plan, rng: np.random.Generator) -> list[tuple[int, float, float]]:
    """Return who speaks, from when, for how long. The first of the people chairs."""
    others, found, start_s, n_turns = plan.people[1:], [], 0.8, 0
    while True:
        chair = plan.kind == "chaired" and n_turns % 2 == 0
        order = plan.people if plan.kind == "round" else others
        who = (
            plan.people[0]
            if chair
            else order[(n_turns if plan.kind == "round" else n_turns // 2) % len(order)]
        )
        length_s = float(rng.uniform(2.5, 4.5) if chair or plan.kind == "round" else rng.uniform(1.2, 2.4))
        if start_s + length_s > plan.length_s - 0.5:
            return found
        found.append((who, start_s, length_s))
        start_s, n_turns = start_s + length_s + float(rng.uniform(-0.6, 0.7)), n_turns + 1


TALKATIVE = (1.6, 0.6, 1.0, 1.3, 0.8, 1.1)
"""How readily each of PEOPLE takes the floor."""
CHAIR = 2.0
"""How much more readily the chair of a chaired meeting does."""


def long_plans(n: int = 20, seed: int = 7) -> list[Plan]:
    """Return meetings of both kinds, of three to five people each, of 20 to 40 minutes."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(n):
        people = tuple(int(p) for p in rng.permutation(len(PEOPLE))[: rng.integers(3, 6)])
        length_s = float(rng.integers(1200, 2400))
        found.append(Plan(100 + number, ("round", "chaired")[number % 2], people, length_s))
    return found


def spoken(plan: Plan) -> dict[str, list[list[float]]]:
    """Return who speaks when in a long meeting, name to rows of start and end in seconds."""
    rng = np.random.default_rng(plan.number)
    weights = np.array([TALKATIVE[who] for who in plan.people])
    if plan.kind == "chaired":
        weights[0] *= CHAIR
    found: dict[str, list[list[float]]] = {PEOPLE[who]: [] for who in plan.people}
    start_s = 1.0
    while start_s < plan.length_s - 30.0:
        who = plan.people[rng.choice(len(weights), p=weights / weights.sum())]
        length_s = min(25.0, 0.5 + rng.exponential(5.0))
        found[PEOPLE[who]].append([round(start_s, 2), round(start_s + length_s, 2)])
        start_s += length_s + rng.uniform(0.2, 0.9)
    return found


def make(plan: Plan, folder: str | Path) -> Path:
    """Write meeting.json, mix.mp3 and parts/ of a meeting, and return its folder."""
    folder = Path(folder)
    rng = np.random.default_rng(1000 + plan.number)
    n = round(plan.length_s * RATE_HZ)
    tracks = {who: np.zeros(n, np.float32) for who in plan.people}
    for k, (who, at_s, length_s) in enumerate(turns(plan, rng)):
        start = round(at_s * RATE_HZ)
        sound = voices.speak(voices.VOICES[who], length_s, seed=100 * plan.number + k)
        tracks[who][start : start + len(sound)] = sound
    (folder / "parts").mkdir(parents=True, exist_ok=True)
    mix = sum(tracks.values()) + rng.standard_normal(n).astype(np.float32) * np.float32(5e-4)
    render.encode(render.to_int16(np.tanh(mix)), folder / "mix.mp3", "mp3")
    parts = [_part(plan, who, track, folder, rng) for who, track in tracks.items()]
    (folder / "meeting.json").write_text(json.dumps(_facts(plan, parts)), encoding="utf-8")
    return folder


def _part(
    plan: Plan, who: int, track: render.Floats, folder: Path, rng: np.random.Generator
) -> dict[str, Any]:
    """Record one person: a little noise, a late start, and a start time that the API has slightly wrong."""
    start_s = float(rng.uniform(0.1, 0.6))
    recorded = track + rng.standard_normal(len(track)).astype(np.float32) * np.float32(5e-4)
    device = render.knots(start_s, plan.length_s - start_s - 0.1)
    samples = render.to_int16(render.as_recorded(recorded, device))
    name = f"parts/{who}.raw"
    render.encode(samples, folder / name, "raw")
    nominal_s = start_s + float(rng.uniform(-0.25, 0.25))
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{plan.recording_id}/{who}")),
        "participant": _person(who, plan),
        "format": "raw",
        "file": name,
        "start_timestamp": {"relative": nominal_s},
        "duration": len(samples) / RATE_HZ,
    }


def _person(who: int, plan: Plan) -> dict[str, Any]:
    email = f"{PEOPLE[who].split()[0].lower()}@example.com"
    facts = {"id": 100 + who, "name": PEOPLE[who], "email": email, "platform": "desktop", "extra_data": None}
    return {**facts, "is_host": who == plan.people[0]}


def _facts(plan: Plan, parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the recorder's facts of a meeting in which all people stay to the end."""
    people = [part["participant"] for part in parts]
    events = []
    for action, at_s in (("join", 0.0), ("leave", plan.length_s)):
        moment = {
            "absolute": (STARTED + timedelta(days=plan.number, seconds=at_s)).isoformat(),
            "relative": at_s,
        }
        events += [{"participant": p, "action": action, "timestamp": moment, "data": None} for p in people]
    return {
        "recording_id": plan.recording_id,
        "bot_name": f"{plan.kind} {plan.number}",
        "duration": plan.length_s,
        "participants": people,
        "parts": parts,
        "events": events,
    }
