"""Finding a recording's artifacts, and waiting for those that are still being made."""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from recall_audio.errors import ItemError
from recall_audio.fetch.api import payloads
from recall_audio.fetch.api.client import Api
from recall_audio.fetch.api.payloads import Artifact, Kind, Recording
from recall_audio.fetch.http.retry import Halt, Policy


@dataclass(frozen=True, slots=True)
class Found:
    """What the API has of one recording.

    Attributes:
        recording: its latest status.
        mixed: the mixed audio, or None.
        separate: the separate audio, or None.
        events: the participant events, or None.
    """

    recording: Recording
    mixed: Artifact | None
    separate: Artifact | None
    events: Artifact | None

    @property
    def is_under_way(self) -> bool:
        """Whether audio is still being made."""
        audio = [a for a in (self.mixed, self.separate) if a is not None]
        if not audio:
            return self.recording.code in ("processing", "paused")
        return any(a.is_under_way for a in audio)


Known = Mapping[str, str]
"""Ids of artifacts that somebody told of, by kind."""


def find(api: Api, recording: Recording, known: Known = MappingProxyType({})) -> Found:
    """Every artifact: from the shortcuts where they are there, by its id if that is known, else by a list."""
    asked = recording.recording_id
    events = recording.events
    if events is None:
        try:
            events = _best("participant_events", api.listed("participant_events", recording_id=asked))
        except ItemError:
            events = None  # who joined and left is good to know, not needed
    return Found(
        recording=recording,
        mixed=recording.mixed or _found(api, "audio_mixed", asked, known),
        separate=_found(api, "audio_separate", asked, known),
        events=events,
    )


def _found(api: Api, kind: Kind, recording_id: str, known: Known) -> Artifact | None:
    if artifact_id := known.get(kind):
        with contextlib.suppress(ItemError):  # another one may have taken its place
            one = payloads.artifact(kind, api.retrieve(kind, artifact_id))
            if not one.is_lost:
                return one
    return _best(kind, api.listed(kind, recording_id=recording_id))


def _best(kind: Kind, rows: Iterable[object]) -> Artifact | None:
    """The first that is done, else the first that may come, else the first."""
    found = [payloads.artifact(kind, row) for row in rows]
    return min(found, key=lambda a: (not a.is_done, not a.is_under_way), default=None)


def settled(api: Api, found: Found, until: float, policy: Policy, halt: Halt) -> Found:
    """`found` once nothing is being made any more, or as it is at `until` on the monotonic clock."""
    while found.is_under_way and policy.monotonic() + policy.poll_s <= until:
        halt.sleep(policy.poll_s, policy.retry)
        found = _again(api, found)
    return found


def _again(api: Api, found: Found) -> Found:
    """Another look, by retrieve: at what is being made, or at the recording where nothing is there yet."""
    if found.mixed is None and found.separate is None:
        recording = payloads.recording(api.retrieve("recording", found.recording.recording_id))
        return replace(found, recording=recording) if recording.code == "processing" else find(api, recording)
    return replace(found, mixed=_look(api, found.mixed), separate=_look(api, found.separate))


def _look(api: Api, artifact: Artifact | None) -> Artifact | None:
    if artifact is None or not artifact.is_under_way:
        return artifact
    return payloads.artifact(artifact.kind, api.retrieve(artifact.kind, artifact.artifact_id))
