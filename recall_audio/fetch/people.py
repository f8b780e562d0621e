"""Who was there and when: participants and presence out of the participant events."""

from collections.abc import Iterable
from typing import Any

from recall_audio.fetch import fields, payloads
from recall_audio.model.meeting import Participant, Presence


def merged(lists: Iterable[Iterable[Participant]]) -> tuple[Participant, ...]:
    """Every participant once, in order of appearance; what one list leaves open, the next fills."""
    known: dict[int, Participant] = {}
    for people in lists:
        for person in people:
            before = known.get(person.participant_id)
            known[person.participant_id] = person if before is None else _filled(before, person)
    return tuple(known.values())


def _filled(one: Participant, other: Participant) -> Participant:
    def either(name: str) -> Any:
        mine = getattr(one, name)
        return getattr(other, name) if mine is None else mine

    names = ("name", "is_host", "platform", "email", "extra_data")
    return Participant(one.participant_id, **{name: either(name) for name in names})


def participants(value: Any) -> list[Participant]:
    """The participants' document."""
    return [payloads.participant(row, "participants") for row in fields.rows(value, "participants")]


def events(value: Any) -> tuple[list[Participant], tuple[Presence, ...]]:
    """The events' document: everyone it names, and when each was there.

    ::

        join ──────── leave      join ─────────        leave without join: there from the start
        |  present    |          |  present, end None  join while present: nothing new
    """
    people: list[Participant] = []
    moves: list[tuple[float, int, str]] = []
    for row in fields.rows(value, "participant events"):
        person = payloads.participant(row.get("participant"), "event")
        people.append(person)
        if row.get("action") in ("join", "leave"):
            at = fields.optional_mapping(row.get("timestamp")).get("relative")
            moves.append((fields.seconds(at, "event's time"), person.participant_id, row["action"]))
    return people, _presence(sorted(moves, key=lambda move: move[0]))


def _presence(moves: list[tuple[float, int, str]]) -> tuple[Presence, ...]:
    inside: dict[int, float] = {}
    seen: set[int] = set()
    stretches = []
    for at_s, who, action in moves:
        if action == "join":
            inside.setdefault(who, at_s)
        elif who in inside or who not in seen:
            stretches.append(Presence(who, inside.pop(who, min(0.0, at_s)), at_s))
        seen.add(who)
    stretches += [Presence(who, at_s, None) for who, at_s in inside.items()]
    return tuple(sorted(stretches, key=lambda s: (s.start_s, s.participant_id)))
