"""Make one meeting: what every client sends, the mix of it, and who really speaks."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from platform_lab import clients, paths
from platform_lab.conditions import CONDITIONS, Person, Plan, families_in
from platform_lab.material import (
    FRAME,
    RATE_HZ,
    Floats,
    Mask,
    Material,
    Turn,
    any_studio,
    as_recorded,
    background,
    factor,
    in_room,
    read_turns,
    rms,
    rms_where_sounding,
    speak,
)
from platform_lab.sounds import sound
from recall_audio.core import spans as sp
from recall_audio.model.alignment import PlacedPart, TimeMap, Track
from recall_audio.typing import Spans

_SPEEDS = (0.88, 1.13, 0.93, 1.07, 0.84, 1.18)  # of voices used a second time
_OTHER_SPEED, _STUDIO = (
    0.3,
    0.5,
)  # of voices: at another pitch, with another recording's colour, room and noise
_PART_KBPS = 32
_CODED = 0.25  # of the tracks; the others are as their client sent them
_PLACEMENT_S = 0.006  # standard deviation of the error of a placed track's start
_ON_A_LEAK, _ANYWHERE = 0.35, 0.35  # of tracks without an own voice: placed by a leak, or not at all


@dataclass(frozen=True)
class Meeting:
    """A meeting with its truth.

    Attributes:
        name: condition and seed.
        families: families of conditions it holds something of.
        tracks: every participant who has a track, placed as alignment would.
        mix: the mixed recording.
        truth: own speech by label; nothing for those who never speak.
        no_track: speech of people who are in the mix alone.
        not_of_people: speech of a video or a television.
        same_person: label of a second device to the person's.
        duration_s: its length.
    """

    name: str
    families: frozenset[str]
    tracks: tuple[Track, ...]
    mix: PlacedPart
    truth: Mapping[str, Spans]
    no_track: Spans
    not_of_people: Spans
    same_person: Mapping[str, str]
    duration_s: float


def make_meeting(material: Material, condition: str, seed: int, duration_s: float) -> Meeting:
    """Return the meeting of a condition; the same arguments give the same meeting."""
    rng = np.random.default_rng([seed, zlib.crc32(condition.encode())])
    plan = Plan(rng)
    for name in ("Ada", "Ben", "Cleo", "Dan"):
        plan.add(name, {"snr_db": (22, 34)}, level_db=(-12, 6))
    CONDITIONS[condition][1](plan)
    return _Maker(material, plan, duration_s).meeting(f"{condition}-{seed}")


def draw_turns(plan: Plan, material: Material, duration_s: float) -> dict[str, list[Turn]]:
    """Return everybody's turns: an excerpt of a real meeting, or drawn."""
    rng = plan.rng
    talking = [p for p in plan.people if p.speaks and not p.rarely]
    voices = [q for p in talking for q in (p.members or [p.name])]
    rows: list[tuple[float, float, str]] = []
    if material.turns and rng.random() < 0.5:
        rows = _excerpt(
            read_turns(material.turns[int(rng.integers(len(material.turns)))]), voices, duration_s, rng
        )
    rows = rows or (_conversation(voices, duration_s, rng) if voices else [])
    turns = {q: sorted((s, e) for s, e, who in rows if who == q) for q in voices}
    rare = [p.name for p in plan.people if p.speaks and p.rarely]
    for name in [*rare, *(q for q in voices if not turns[q])]:
        starts = np.sort(rng.uniform(0, max(0.1, duration_s - 4), int(rng.integers(1, 4))))
        turns[name] = [(float(s), float(min(duration_s, s + rng.uniform(0.8, 4)))) for s in starts]
    return turns


def _excerpt(
    rows: list[tuple[float, float, str]], voices: list[str], duration_s: float, rng: np.random.Generator
) -> list[tuple[float, float, str]]:
    """Return a stretch of a real meeting's turns with its speakers named anew; empty if it is too short."""
    last_s = max((end for _, end, _ in rows), default=0.0)
    if last_s <= duration_s + 1:
        return []
    start_s = rng.uniform(0, last_s - duration_s)
    inside = [(max(s - start_s, 0.0), min(e - start_s, duration_s), who) for s, e, who in rows]
    inside = [r for r in inside if r[1] - r[0] > 0.05]
    order = rng.permutation(voices).tolist()
    roles = dict(zip(sorted({who for _, _, who in inside}), order, strict=False))
    return [(s, e, roles[who]) for s, e, who in inside if who in roles]


def _conversation(
    voices: list[str], duration_s: float, rng: np.random.Generator
) -> list[tuple[float, float, str]]:
    """Return drawn turns: unequal shares, gaps and overlaps, short words while another speaks."""
    weight = rng.dirichlet(np.full(len(voices), 1.5)) + 0.02
    at, last, rows = rng.uniform(0.2, 2), -1, []
    while at < duration_s - 0.5:
        chance = np.array([w * (0.15 if i == last and len(voices) > 1 else 1) for i, w in enumerate(weight)])
        last = int(rng.choice(len(voices), p=chance / chance.sum()))
        end = min(duration_s, at + float(np.clip(rng.lognormal(1.2, 0.9), 0.5, 30)))
        rows.append((at, end, voices[last]))
        for i, other in enumerate(voices):
            if i != last and end - at > 2 and rng.random() < 0.03 * (end - at):
                start = rng.uniform(at + 0.5, end - 1)
                rows.append((start, start + rng.uniform(0.3, 0.9), other))
        pause = rng.uniform(2, 8) if rng.random() < 0.05 else float(np.clip(rng.normal(0.25, 0.5), -1.2, 2.5))
        at = max(at + 0.3, end + pause)
    return rows


class _Maker:
    """One plan on its way to tracks."""

    def __init__(self, material: Material, plan: Plan, duration_s: float) -> None:
        self.material, self.plan, self.rng = material, plan, plan.rng
        self.duration_s, self.n = duration_s, int(duration_s * RATE_HZ)
        self.level_db = {p.name: p.level_db for p in plan.people}
        self.clean: dict[str, Floats] = {}
        self.spoken: dict[str, Mask] = {}
        self.turns: dict[str, list[Turn]] = {}
        self.lags: dict[str, list[float]] = {}
        self.not_of_people = np.zeros(self.n // FRAME, dtype=np.bool_)
        self.screen = np.zeros(self.n, dtype=np.float32)

    def meeting(self, name: str) -> Meeting:
        """Return the meeting."""
        self._voices()
        self._screen()
        sent = self._tracks()
        mix = self._mix(sent)
        tracks = []
        for person in self.plan.people:
            if person.track == "mix":
                sent[person.name] = self._copy_of(person, mix)
            if person.track != "none":
                tracks.append(self._placed(person, sent[person.name]))
        coded = paths.through_mp3(mix, self.plan.mix_kbps)
        return Meeting(
            name,
            frozenset(families_in(self.plan)),
            tuple(tracks),
            PlacedPart("mix", _int16(coded), TimeMap.straight(0.0, self.duration_s)),
            {p.name: _spans(self._own(p)) for p in self.plan.people if p.track != "none"},
            sp.union(*(_spans(self._own(p)) for p in self.plan.people if p.track == "none")),
            _spans(self.not_of_people),
            {p.name: p.same_as for p in self.plan.people if p.same_as},
            self.duration_s,
        )

    def _voices(self) -> None:
        self.turns = turns = draw_turns(self.plan, self.material, self.duration_s)
        drawn = self.rng.permutation(len(self.material.speakers))
        once = {
            self.material.speakers[i]: i for i in reversed(drawn)
        }  # a folder given twice is drawn more often
        folders = list(reversed(once.values()))
        for i, (name, when) in enumerate(turns.items()):
            again = i // len(folders)
            speed = 1.0 if again == 0 else _SPEEDS[(again - 1) % len(_SPEEDS)]
            if again == 0 and self.rng.random() < _OTHER_SPEED:
                speed = float(self.rng.uniform(0.88, 1.13))
            studio = any_studio(self.material, self.rng) if self.rng.random() < _STUDIO else as_recorded
            folder = self.material.speakers[folders[i % len(folders)]]
            voice, self.spoken[name] = speak(folder, when, self.n, self.rng, speed, studio)
            self.clean[name] = voice * np.float32(factor(self.level_db.get(name, 0.0)))

    def _screen(self) -> None:
        if self.plan.screen_db is None:
            return
        share = self.duration_s / 6
        starts = (self.rng.uniform(0, 0.3) * self.duration_s, self.rng.uniform(0.5, 0.8) * self.duration_s)
        folder = self.material.speakers[int(self.rng.integers(len(self.material.speakers)))]
        when = [(t, t + share) for t in starts]
        voice, on = speak(folder, when, self.n, self.rng, float(self.rng.choice([0.85, 1.16])))
        self.screen = voice * np.float32(factor(self.plan.screen_db))
        self.not_of_people |= on

    def _own(self, person: Person) -> Mask:
        """Return the frames in which a track's people speak; a second device has none."""
        names = [q for q in (person.members or [person.name]) if q in self.spoken]
        none = np.zeros(self.n // FRAME, dtype=np.bool_)
        return np.any([none, *(self.spoken[q] for q in names)], axis=0)

    def _tracks(self) -> dict[str, Floats]:
        return {p.name: self._sent(p) for p in self.plan.people if p.track != "mix"}

    def _mix(self, sent: Mapping[str, Floats]) -> Floats:
        """Return the sum of what clients sent, as the server mixed it."""
        mix = self.screen.copy()
        for x in (self.clean if self.plan.mix_of_voices else sent).values():
            mix += x * np.float32(factor(self.rng.uniform(-3, 3)))
        mix = np.tanh(mix + self.rng.standard_normal(self.n).astype(np.float32) * 3e-4)
        if self.plan.mix_client == "agc":
            return clients.automatic_gain(2 * mix, "fast", 20)
        return clients.limiter(mix) if self.plan.mix_client == "limiter" else mix

    def _copy_of(self, person: Person, mix: Floats) -> Floats:
        """Return the mix as a note-taker's own track holds it."""
        d = person.device
        knots = paths.draw_lag(d.lag, self.duration_s, self.rng)
        x = np.tanh(paths.delayed(mix, knots, sliding=False) * factor(person.level_db)).astype(np.float32)
        return clients.automatic_gain(x, d.agc, d.agc_db) if d.agc else x

    def _voice_at_microphone(self, person: Person) -> Floats:
        own = self.clean.get(person.name, np.zeros(self.n, dtype=np.float32))
        for name, distance_db in person.members.items():  # the farther, the more room
            direct = max(0.0, 1 + distance_db / 30)
            x = direct * self.clean[name] + (1 - direct) * in_room(self.material, self.clean[name], self.rng)
            own = own + x / np.float32(rms_where_sounding(x)) * np.float32(0.06 * factor(distance_db))
        if person.same_as in self.clean:
            knots = np.array([[0.0, self.rng.uniform(0.03, 0.25)]])
            late = paths.delayed(self.clean[person.same_as], knots, sliding=False)
            own = in_room(self.material, late, self.rng)
        return own.astype(np.float32)

    def _sent(self, person: Person) -> Floats:
        """Return what a participant's client sends."""
        d, rng = person.device, self.rng
        own = self._voice_at_microphone(person)
        voice_rms = rms_where_sounding(own)
        x = own + background(self.material, self.n, rng) * np.float32(voice_rms * factor(-d.snr_db))
        x = x + self._others(person, own)
        if d.sound:
            heard, speech = sound(self.material, d.sound, self.n, rng)
            self.not_of_people |= speech
            x = x + heard * np.float32(factor(d.sound_db) / 0.05)
        return self._client(person, x.astype(np.float32))

    def _others(self, person: Person, own: Floats) -> Floats:
        """Return what a microphone hears of voices from elsewhere."""
        d = person.device
        out = np.zeros(self.n, dtype=np.float32)
        for name, level_db in person.near.items():
            if name in self.clean:
                level = level_db + 20 * np.log10(
                    rms_where_sounding(own) / rms_where_sounding(self.clean[name])
                )
                out += self._through_air({name: self.clean[name]}, "air", level)
        ours = {person.name, person.same_as, *person.members, *person.near}
        others = {q: x for q, x in self.clean.items() if q not in ours}
        if d.leak_db is not None and others:
            out += self._through_loudspeaker(person, others, own)
        if self.plan.screen_leak_db is not None:
            out += self._through_air({"(screen)": self.screen}, "fixed", self.plan.screen_leak_db)
        return out

    def _through_air(self, voices: Mapping[str, Floats], lag: str, level_db: float) -> Floats:
        played = np.zeros(self.n, dtype=np.float32)
        for x in voices.values():
            played += paths.delayed(x, paths.draw_lag(lag, self.duration_s, self.rng), sliding=False)
        heard = in_room(self.material, played, self.rng)
        return heard * np.float32(factor(level_db))

    def _through_loudspeaker(self, person: Person, others: Mapping[str, Floats], own: Floats) -> Floats:
        d, rng = person.device, self.rng
        y = np.zeros(self.n, dtype=np.float32)
        for x in others.values():
            knots = paths.draw_lag(d.lag, self.duration_s, rng)
            self.lags.setdefault(person.name, []).append(float(knots[0, 1]))
            y += paths.delayed(x, knots, sliding=d.lag == "drift")
        power = rms(y)
        y = paths.through_opus(y, d.opus_kbps) if d.opus_kbps else y
        y = paths.loudspeaker(y, d.drive) if d.drive else y
        y = in_room(self.material, y, rng) if d.path == "room" else y
        y = y * np.float32(power / rms(y) * factor(d.leak_db or 0.0))
        y = y * paths.volume_steps(self.n, d.volume_db, rng) if d.volume_db else y
        if d.cancel:
            y = y * clients.canceller(self._own(person), self.n, d.cancel, d.first_s, d.residual_db)
        return y.astype(np.float32)

    def _client(self, person: Person, x: Floats) -> Floats:
        d, rng = person.device, self.rng
        x = clients.suppress_noise(x, d.suppress, rng) if d.suppress else x
        x = clients.gate(x, d.gate_open_ms, d.gate_hold_ms) if d.gate_open_ms else x
        x = clients.comfort_noise(x, d.comfort_db, rng) if d.comfort_db is not None else x
        x = paths.telephone(x, d.loss, rng) if d.telephone else x
        x = x * paths.volume_steps(self.n, d.gain_db, rng) if d.gain_db else x
        x = clients.automatic_gain(x, d.agc, d.agc_db) if d.agc else x
        x = x * self._unmuted(person) if person.mutes else x
        return (np.tanh(x) if np.abs(x).max() > 0.99 else x).astype(np.float32)

    def _unmuted(self, person: Person) -> Floats:
        """Return 1 for each sample about the person's turns, 0 elsewhere."""
        on = np.zeros(self.n, dtype=np.float32)
        for start_s, end_s in self.turns.get(person.name, []):
            before_s, after_s = self.rng.uniform(0.1, 0.9, 2)
            on[max(0, int((start_s - before_s) * RATE_HZ)) : int((end_s + after_s) * RATE_HZ)] = 1
        return on

    def _placed(self, person: Person, x: Floats) -> Track:
        """Return a track with the error its placement would have.

        A track without an own voice is often placed by a leak, so that the leak coincides with its source, or
        cannot be placed.
        """
        off_s = float(self.rng.normal(0, _PLACEMENT_S)) if self.rng.random() < 0.6 else 0.0
        chance, lags = self.rng.random(), self.lags.get(person.name, [])
        if not self._own(person).any():
            if chance < _ON_A_LEAK and lags:
                off_s -= lags[int(self.rng.integers(len(lags)))]
            elif chance > 1 - _ANYWHERE:
                off_s = float(self.rng.uniform(-0.6, 0.6))
        coded = paths.through_opus(x, _PART_KBPS) if self.rng.random() < _CODED else x
        part = PlacedPart(person.name, _int16(coded), TimeMap.straight(off_s, len(coded) / RATE_HZ))
        return Track(person.name, (part,))


def _int16(x: Floats) -> np.ndarray:
    return np.rint(np.clip(x, -1, 1) * 32767).astype(np.int16)


def _spans(mask: Mask) -> Spans:
    return sp.from_mask(mask, FRAME)
