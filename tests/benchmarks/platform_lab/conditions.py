"""Draw who takes part in a meeting, on what device, under what condition.

Every condition starts from four people with headsets and changes something. ``(low, high)`` stands for a
number drawn evenly, a list for one of its items.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from platform_lab.paths import LAGS
from platform_lab.sounds import KINDS


@dataclass
class Device:
    """One participant's microphone, room, loudspeaker and client; 0, None or empty: it does not do that.

    Attributes:
        snr_db: own voice over the room's noise.
        leak_db: the others from the loudspeaker, against their own voices.
        path: ``room`` or ``direct``.
        lag: how the leak's lag moves, one of :data:`platform_lab.paths.LAGS`.
        drive: how hard the loudspeaker is driven.
        opus_kbps: what the others were coded with before the loudspeaker.
        volume_db: the loudspeaker is turned up and down by as much.
        cancel: ``double_talk``, ``start`` or ``both``: when the echo canceller lets the leak pass.
        first_s: seconds in which it adapts.
        residual_db: what it leaves otherwise.
        suppress: strength of the noise suppression.
        gate_open_ms: how late the gate opens.
        gate_hold_ms: how long it stays open.
        comfort_db: noise in digital silence, dB full scale.
        agc: ``slow`` or ``fast`` automatic gain.
        agc_db: its most gain.
        gain_db: the microphone's gain jumps by as much.
        telephone: the track went over a telephone.
        loss: share of its packets that are lost.
        sound: one of :data:`platform_lab.sounds.KINDS` beside the microphone.
        sound_db: its level, dB full scale.
    """

    snr_db: float = 30.0
    leak_db: float | None = None
    path: str = "room"
    lag: str = "fixed"
    drive: float = 0.0
    opus_kbps: float = 0.0
    volume_db: float = 0.0
    cancel: str = ""
    first_s: float = 20.0
    residual_db: float = -35.0
    suppress: float = 0.0
    gate_open_ms: float = 0.0
    gate_hold_ms: float = 80.0
    comfort_db: float | None = None
    agc: str = ""
    agc_db: float = 20.0
    gain_db: float = 0.0
    telephone: bool = False
    loss: float = 0.0
    sound: str = ""
    sound_db: float = -34.0


@dataclass
class Person:
    """One participant.

    Attributes:
        name: the label of the track.
        device: the device.
        speaks: whether the person ever does.
        rarely: a few words in the whole meeting only.
        level_db: how loud the voice is, against others'.
        track: ``own``, ``none`` (in the mix alone) or ``mix`` (the track holds the whole mix).
        same_as: the person of whom this is a second device.
        mutes: whether the client sends nothing between the person's turns.
        near: people in the same room, by name, and their level against the own voice.
        members: people at this one microphone, by name, and their distance in dB.
    """

    name: str
    device: Device = field(default_factory=Device)
    speaks: bool = True
    rarely: bool = False
    level_db: float = 0.0
    track: str = "own"
    same_as: str = ""
    mutes: bool = False
    near: dict[str, float] = field(default_factory=dict)
    members: dict[str, float] = field(default_factory=dict)


@dataclass
class Plan:
    """A meeting before it sounds.

    Attributes:
        rng: draws everything.
        people: who takes part.
        mix_client: ``""``, ``agc`` or ``limiter``: what the mix went through.
        mix_kbps: its MP3.
        mix_of_voices: the mix is of the clean voices, without leaks and noise.
        screen_db: a video's speech in the mix alone, against a voice.
        screen_leak_db: what of it every microphone hears.
    """

    rng: np.random.Generator
    people: list[Person] = field(default_factory=list)
    mix_client: str = ""
    mix_kbps: float = 64.0
    mix_of_voices: bool = False
    screen_db: float | None = None
    screen_leak_db: float | None = None

    def draw(self, value: Any) -> Any:
        """Return a drawn value."""
        if isinstance(value, tuple):
            return float(self.rng.uniform(*value))
        return value[int(self.rng.integers(len(value)))] if isinstance(value, list) else value

    def devices(self, people: list[Person] | None = None, **fields: Any) -> None:
        """Draw these fields of people's devices, everybody's unless said."""
        for person in self.people if people is None else people:
            for name, value in fields.items():
                setattr(person.device, name, self.draw(value))

    def add(self, name: str, device: dict[str, Any] | None = None, **fields: Any) -> Person:
        """Add a participant with drawn fields."""
        person = Person(name, **{k: self.draw(v) for k, v in fields.items()})
        self.people.append(person)
        self.devices([person], **(device or {}))
        return person

    def one_microphone(self, *distances: Any) -> None:
        """Seat the last people at one microphone, in a drawn order."""
        seated = self.people[-len(distances) :]
        del self.people[-len(distances) :]
        order = self.rng.permutation(len(seated))
        room = self.add("Room", {"snr_db": (38, 46), "leak_db": (-38, -26)})
        room.members = {seated[i].name: self.draw(d) for i, d in zip(order, distances, strict=True)}


NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gia", "Hugo", "Ines", "Jon")

_LEAK = {"leak_db": (-22, -10)}
_MILD = {"leak_db": (-32, -22)}
_GATE = {"suppress": (1.2, 2.8), "gate_open_ms": (40, 150), "gate_hold_ms": (20, 120)}
_PLAYED = {
    "leak_db": (-30, -8), "lag": list(LAGS), "path": ["room", "room", "room", "direct"],
    "opus_kbps": [0, 0, 8, 12, 24], "volume_db": [0, 0, 0, 6],
}  # fmt: skip
PROFILES: dict[str, tuple[float, dict[str, Any]]] = {
    "headset": (
        0.3,
        {
            "snr_db": (10, 42), "agc": ["", "", "", "slow", "fast"], "agc_db": (6, 24),
            "suppress": [0, 0, 0, 1, 2], "gate_open_ms": [0, 0, 0, 60, 120], "gate_hold_ms": (20, 200),
        },
    ),
    "loudspeaker": (0.16, {"snr_db": (20, 36), **_PLAYED}),
    "browser": (
        0.28,
        {
            "snr_db": (20, 36), **_PLAYED, "cancel": ["double_talk", "start", "both"], "first_s": (5, 40),
            "residual_db": (-45, -20), "suppress": (1, 2.5), "gate_open_ms": [0, 0, 50, 90, 140],
            "gate_hold_ms": (20, 150), "comfort_db": [None, None, -62, -52], "agc": ["", "slow", "fast"],
            "agc_db": (8, 26),
        },
    ),
    "laptop": (
        0.14,
        {
            "snr_db": (8, 28), **_PLAYED, "drive": (3, 14), "agc": ["", "slow", "fast"], "agc_db": (8, 24),
            "gain_db": [0, 0, 4, 9],
        },
    ),
    "telephone": (
        0.12,
        {
            "snr_db": (20, 34), "telephone": True, "loss": (0, 0.1), "leak_db": [None, -38, -30],
            "path": "direct",
        },
    ),
}  # fmt: skip
"""Devices of :func:`anything`: share and fields."""


def _listener(p: Plan) -> None:
    p.add(
        "Uma", {"snr_db": (28, 40), "leak_db": (-36, -14), "lag": ["fixed", "jitter", "late"]}, speaks=False
    )


def _listener_agc(p: Plan) -> None:
    device = {
        "snr_db": 35,
        "leak_db": (-26, -12),
        "lag": ["steps", "jitter"],
        "drive": (3, 8),
        "opus_kbps": 12,
    }
    p.add("Uma", {**device, "agc": ["slow", "fast"]}, speaks=False)


def _second_device(p: Plan) -> None:
    who = p.people[0].name
    p.add(f"{who} 2", {"telephone": [True, False], "snr_db": (22, 34)}, speaks=False, same_as=who)


def _same_room(p: Plan) -> None:
    a, b = p.people[:2]
    a.near, b.near = {b.name: p.draw((-14, -4))}, {a.name: p.draw((-14, -4))}


def _no_track(p: Plan) -> None:
    p.devices(**_MILD)
    p.people[-1].track = "none"


def _whole_mix(p: Plan) -> None:
    p.devices(leak_db=(-34, -26))
    device = {"lag": ["fixed", "late"], "agc": ["", "slow"], "agc_db": 12}
    p.add("Recorder", device, speaks=False, track="mix", level_db=(-6, 10))


def _screen(p: Plan, *, leaks: bool) -> None:
    p.screen_db = p.draw((-6, 3))
    p.screen_leak_db = p.draw((-26, -14)) if leaks else None


def _crowd(p: Plan) -> None:
    for i in range(int(p.rng.integers(8, 20)) - len(p.people)):
        rarely = bool(p.rng.random() < 0.2)
        device = {"snr_db": 28, "leak_db": [None, None, None, -34, -26], "lag": list(LAGS)}
        p.add(f"Guest {i + 1:02d}", device, speaks=rarely, rarely=rarely, level_db=(-12, 6))


def _telephone_one(p: Plan) -> None:
    p.devices(**_MILD)
    p.devices(p.people[:1], leak_db=None, telephone=True, loss=(0.02, 0.12))


def _mix_client(p: Plan, client: str) -> None:
    p.devices(**_MILD)
    p.mix_client = client


def _nobody(p: Plan) -> None:
    for person in p.people:
        person.speaks = False
    p.devices(sound=["", "", "keyboard", "music"])


def anything(p: Plan) -> None:
    """Draw two to seven people, a device for each, and now and then one of the conditions on top."""
    p.people.clear()
    shares = [share for share, _ in PROFILES.values()]
    for name in p.rng.permutation(NAMES)[: p.rng.integers(2, 8)].tolist():
        profile = str(p.rng.choice(list(PROFILES), p=shares))
        fields = {"speaks": [True] * 4 + [False], "rarely": [False] * 7 + [True], "level_db": (-14, 8)}
        fields["mutes"] = [False] * 8 + [True]
        device = PROFILES[profile][1] | {"sound": [""] * 16 + list(KINDS), "sound_db": (-46, -28)}
        p.add(name, device, **fields)
    added = (_same_room, _second_device, lambda q: q.one_microphone(0.0, (-16, -6), (-30, -18)), _crowd)
    for change in (*added, lambda q: _screen(q, leaks=False), lambda q: _screen(q, leaks=True)):
        if p.rng.random() < 0.07 and len(p.people) > 3:
            change(p)
    if p.rng.random() < 0.07 and len(p.people) > 3:
        p.people[-1].track = "none"
    if p.rng.random() < 0.07:
        p.add(
            "Recorder",
            {"lag": ["fixed", "late"], "agc": ["", "slow"]},
            speaks=False,
            track="mix",
            level_db=(-6, 10),
        )
    p.mix_client, p.mix_kbps = p.draw(["", "", "", "agc", "limiter"]), p.draw([32, 64, 64, 96])
    p.mix_of_voices = p.draw([False] * 9 + [True])


Change = Callable[[Plan], Any]
CONDITIONS: dict[str, tuple[str, Change]] = {
    "plain": ("control", lambda p: None),
    "leak_direct": ("control", lambda p: p.devices(**_LEAK, path="direct")),
    "leak_room": ("control", lambda p: p.devices(**_LEAK)),
    "leak_mild": ("control", lambda p: p.devices(**_MILD)),
    "noisy": ("control", lambda p: p.devices(snr_db=(7, 14))),
    "loudspeaker": ("path", lambda p: p.devices(**_LEAK, drive=(4, 14))),
    "leak_opus": ("path", lambda p: p.devices(**_LEAK, opus_kbps=[6, 8, 10, 12, 16])),
    "lag_steps": ("lag", lambda p: p.devices(**_LEAK, lag="steps")),
    "lag_jitter": ("lag", lambda p: p.devices(**_LEAK, lag="jitter")),
    "lag_drift": ("lag", lambda p: p.devices(**_LEAK, lag="drift")),
    "lag_late": ("lag", lambda p: p.devices(**_LEAK, lag="late")),
    "volume": ("gain", lambda p: p.devices(**_LEAK, volume_db=(4, 12))),
    "leak_all": (
        "path",
        lambda p: p.devices(
            **_LEAK, opus_kbps=[8, 12, 16], lag=["steps", "jitter"], drive=(3, 8), volume_db=(2, 6),
            suppress=(1, 2),
        ),
    ),
    "cancel_double_talk": (
        "client",
        lambda p: p.devices(leak_db=(-18, -8), cancel="double_talk", residual_db=(-45, -28)),
    ),
    "cancel_start": (
        "client",
        lambda p: p.devices(leak_db=(-16, -6), cancel="start", first_s=(8, 40), residual_db=(-45, -28)),
    ),
    "agc_slow": ("gain", lambda p: p.devices(**_MILD, agc="slow", agc_db=(12, 26))),
    "agc_fast": ("gain", lambda p: p.devices(**_MILD, agc="fast", agc_db=(12, 26))),
    "gate": ("client", lambda p: p.devices(**_MILD, **_GATE, snr_db=(16, 26))),
    "comfort_noise": ("client", lambda p: p.devices(**_MILD, **_GATE, comfort_db=(-66, -48))),
    "gain_steps": ("gain", lambda p: p.devices(**_MILD, gain_db=(4, 12))),
    "telephone_one": ("telephone", _telephone_one),
    "telephone_all": ("telephone", lambda p: p.devices(telephone=True, loss=(0, 0.08), leak_db=(-38, -26))),
    "listener": ("listener", _listener),
    "listener_agc": ("listener", _listener_agc),
    "second_device": ("tracks", _second_device),
    "same_room": ("tracks", _same_room),
    "room_device": ("tracks", lambda p: p.one_microphone(0.0, (-8, 0), (-8, 0))),
    "room_far": ("tracks", lambda p: p.one_microphone(0.0, (-16, -6), (-30, -18))),
    "no_track": ("mix", _no_track),
    "whole_mix": ("tracks", _whole_mix),
    "screen_share": ("mix", lambda p: _screen(p, leaks=False)),
    "screen_share_leaks": ("mix", lambda p: _screen(p, leaks=True)),
    "crowd": ("crowd", _crowd),
    "mix_agc": ("mix", lambda p: _mix_client(p, "agc")),
    "mix_limiter": ("mix", lambda p: _mix_client(p, "limiter")),
    "mix_32k": ("mix", lambda p: (p.devices(**_MILD), setattr(p, "mix_kbps", 32.0))),
    "mix_voices": ("mix", lambda p: (p.devices(**_MILD), setattr(p, "mix_of_voices", True))),
    "muted": ("tracks", lambda p: [setattr(q, "mutes", True) for q in p.people]),
    "nobody": ("sounds", _nobody),
    "random": ("random", anything),
}  # fmt: skip
"""By name: the family it belongs to, and what it changes."""


def _with_sound(p: Plan, kind: str, *, speaker: bool) -> None:
    if speaker:
        p.devices(p.people[:1], sound=kind, sound_db=(-50, -36))
    else:
        p.add("Uma", {"sound": kind, "sound_db": (-42, -28)}, speaks=False)


for _kind in KINDS:
    CONDITIONS[_kind] = ("sounds", lambda p, k=_kind: _with_sound(p, k, speaker=False))
    CONDITIONS[f"{_kind}_speaker"] = ("sounds", lambda p, k=_kind: _with_sound(p, k, speaker=True))

FAMILIES = sorted({family for family, _ in CONDITIONS.values()} - {"random", "control"})


def families_in(plan: Plan) -> set[str]:
    """Return the families of conditions that a drawn plan holds something of."""
    found = set()
    for person in plan.people:
        d = person.device
        leaks = d.leak_db is not None
        found |= {"lag"} if leaks and d.lag != "fixed" else set()
        found |= {"path"} if leaks and (d.drive or d.opus_kbps) else set()
        found |= {"gain"} if d.agc or d.gain_db or d.volume_db else set()
        found |= {"client"} if d.cancel or d.suppress else set()
        found |= {"telephone"} if d.telephone else set()
        found |= {"sounds"} if d.sound else set()
        found |= {"listener"} if not person.speaks and leaks else set()
        found |= (
            {"tracks"} if person.same_as or person.near or person.members or person.track == "mix" else set()
        )
        found |= {"mix"} if person.track == "none" else set()
    found |= {"crowd"} if len(plan.people) > 7 else set()
    return found | ({"mix"} if plan.screen_db is not None or plan.mix_client else set())
