"""Find a recording's artifacts, and wait for those that the API is still making."""

import contextlib
import datetime
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from recall_audio.errors import ItemError
from recall_audio.fetch.api import payloads
from recall_audio.fetch.api.client import Api
from recall_audio.fetch.api.payloads import Artifact, Kind, Recording
from recall_audio.fetch.http.retry import Cancellation, Policy
from recall_audio.model.outcome import TRANSCRIPT_WAITING, Finding

_EXPIRES_SOON_S = 3 * 86_400.0
"""Seconds before media are deleted from which a fetch warns of it: over a weekend too."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FoundArtifacts:
    """What the API has of one recording.

    Attributes:
        recording: its latest status.
        mixed: the mixed audio, or else the mixed video, or None.
        separate: the separate audio, or None.
        events: the participant events, or None.
        transcript: the transcript, or None; it is looked for where it is wanted.
        notes: what of the lists could not be used.
    """

    recording: Recording
    mixed: Artifact | None
    separate: Artifact | None
    events: Artifact | None
    transcript: Artifact | None = None
    notes: tuple[Finding, ...] = ()

    @property
    def is_under_way(self) -> bool:
        """Return whether audio is still being made."""
        audio = [a for a in (self.mixed, self.separate) if a is not None]
        if not audio:
            return self.recording.is_being_made
        return any(a.is_under_way for a in audio)

    @property
    def is_incomplete(self) -> bool:
        """Return whether audio, or what comes beside it, is still being made."""
        late = (self.events, self.transcript, self.recording.title)
        return self.is_under_way or any(a is not None and a.is_under_way for a in late) or self.lacks_events

    @property
    def lacks_events(self) -> bool:
        """Return whether there are no participant events yet of a recording that is still being made."""
        return self.events is None and self.recording.is_being_made


MIX_SOURCES: tuple[Kind, ...] = ("audio_mixed", "video_mixed")
"""What the mix is taken from, in the order of preference.

Where there is none of them, parts are placed by their nominal starts.
"""

KnownIds = Mapping[str, str]
"""Artifact ids by kind, e.g. those that a webhook named."""


def find_artifacts(
    api: Api, recording: Recording, known: KnownIds = MappingProxyType({}), *, transcript: bool = False
) -> FoundArtifacts:
    """Return every artifact, from the recording's shortcuts, by a known id, or else from a list.

    The transcript is looked for only where `transcript` is set.
    """
    recording_id, notes = recording.recording_id, list[Finding]()

    def listed(kind: Kind) -> Artifact | None:
        return _best(kind, api.list_rows(kind, recording_id=recording_id), notes)

    def optional(kind: Kind, shortcut: Artifact | None) -> Artifact | None:
        with contextlib.suppress(ItemError):  # useful, not required
            return shortcut or listed(kind)
        return None

    def required(kind: Kind) -> Artifact | None:
        if artifact_id := known.get(kind):
            with contextlib.suppress(ItemError):  # another one may have replaced it
                artifact = retrieve_artifact(api, kind, artifact_id)
                if not artifact.is_lost:
                    return artifact
        return listed(kind)

    events = optional("participant_events", recording.events)
    mixes = {"audio_mixed": recording.mixed or required("audio_mixed"), "video_mixed": recording.video}
    separate = required("audio_separate")
    said = optional("transcript", recording.transcript) if transcript else None
    mixed = _preferred([mixes[kind] for kind in MIX_SOURCES])
    return FoundArtifacts(recording, mixed, separate, events, said, tuple(notes))


def _preferred(artifacts: list[Artifact | None]) -> Artifact | None:
    """Return the first artifact that is there or may come, else the mixed audio that is lost, or None."""
    usable = (a for a in artifacts if a is not None and not a.is_lost)
    return next(usable, artifacts[0])


def retrieve_artifact(api: Api, kind: Kind, artifact_id: str) -> Artifact:
    """Request one artifact by its id."""
    return payloads.artifact(kind, api.retrieve(kind, artifact_id))


def _best(kind: Kind, rows: Iterable[Any], notes: list[Finding]) -> Artifact | None:
    """Return the first artifact that is done, else the first that may come, else the first.

    Rows that cannot be used are noted; where all are, the artifact is one that failed.
    """
    found, odd = payloads.usable_rows(list(rows), kind, lambda row: payloads.artifact(kind, row))
    notes.extend(payloads.rows_dropped(f"list of {kind.replace('_', ' ')}", len(odd)))
    if odd and not found:
        return Artifact(kind, "", "failed", "the API's answer cannot be used", None, {})
    return min(found, key=lambda a: (not a.is_done, not a.is_under_way), default=None)


def wait_until_settled(
    api: Api, found: FoundArtifacts, until: float, policy: Policy, cancellation: Cancellation
) -> FoundArtifacts:
    """Poll artifacts until none is under way, or until a time, and return them.

    `until` is a time on the policy's monotonic clock.
    """
    while found.is_incomplete and policy.monotonic() + policy.poll_s <= until:
        cancellation.sleep(policy.poll_s, policy.retry)
        found = _poll(api, found)
    return found


def _poll(api: Api, found: FoundArtifacts) -> FoundArtifacts:
    """Retrieve what is being made, or the recording itself where no audio is listed yet."""
    recording, has_audio = found.recording, found.mixed is not None or found.separate is not None
    title_is_late = recording.title is not None and recording.title.is_under_way
    if not has_audio or title_is_late or found.lacks_events:
        recording = payloads.recording(api.retrieve("recording", recording.recording_id))
    if not has_audio:
        if recording.is_being_made:
            return replace(found, recording=recording)
        return find_artifacts(api, recording, transcript=found.transcript is not None)
    events, transcript = found.events or recording.events, found.transcript
    with contextlib.suppress(ItemError):  # who joined and left is useful, not required
        events = _poll_artifact(api, events)
    with contextlib.suppress(ItemError):
        transcript = _poll_artifact(api, transcript)
    return FoundArtifacts(
        recording,
        _poll_artifact(api, found.mixed),
        _poll_artifact(api, found.separate),
        events,
        transcript,
        found.notes,
    )


def _poll_artifact(api: Api, artifact: Artifact | None) -> Artifact | None:
    if artifact is None or not artifact.is_under_way:
        return artifact
    return retrieve_artifact(api, artifact.kind, artifact.artifact_id)


def from_video() -> Finding:
    """Return the note that the sound of the mixed video is the mix."""
    return Finding(
        "mix_from_video",
        "There is no mixed audio of this recording: the sound of its mixed video is the mix. With "
        f"recording_config.{_CONFIG_KEY['audio_mixed']} the next bot records the mix by itself.",
        severity="note",
    )


TRANSCRIPT_FILE = "source/transcript.json"
"""Path of the transcript below the recording's folder, as the API gave it."""


def no_transcript(artifact: Artifact | None, why: str = "") -> Finding:
    """Return the note about a transcript that was asked for and is not here."""
    if artifact is None:
        why = "the bot was not asked for one: create it with --transcript"
    elif artifact.is_under_way:
        return still_made(TRANSCRIPT_WAITING, "Recall.ai's transcript is")
    elif not artifact.is_done:
        why = f"it is {artifact.code}"
    return Finding("no_transcript", f"There is no transcript of Recall.ai's: {why}.", severity="note")


def still_made(code: str, what: str) -> Finding:
    """Return the note about what is still being made, e.g. ``The meeting's title is``."""
    return Finding(code, f"{what} still being made: the next run asks for it again.", severity="note")


_CONFIG_KEY = {"audio_mixed": "audio_mixed_mp3", "audio_separate": "audio_separate_mp3"}
_LABEL = {"audio_mixed": "mixed audio", "audio_separate": "separate audio"}
_CONSEQUENCE = {
    "audio_mixed": "parts are placed by their nominal starts",
    "audio_separate": "speakers cannot be told apart",
}


@dataclass(frozen=True, slots=True)
class PlatformFact:
    """What Recall.ai's public documents say of separate audio on one platform.

    Attributes:
        name: the platform's name for people.
        most: streams at a time, at most; None where it may give none.
        as_of: month of the documents, ``YYYY-MM``.
        but: who is left out, or empty.
    """

    name: str
    most: int | None
    as_of: str
    but: str = ""

    def __str__(self) -> str:
        """Return a clause of a sentence, with the month."""
        if self.most is None:
            return f"{self.name} may not give it, as of {self.as_of}"
        but = f", and {self.but}" if self.but else ""
        return f"{self.name} gives it for up to {self.most} people at a time{but}, as of {self.as_of}"


PLATFORM_FACTS: Mapping[str, PlatformFact] = {
    "zoom": PlatformFact("Zoom", 16, "2025-11", "to a native bot not for people who dial in"),
    "microsoft_teams": PlatformFact("Microsoft Teams", 9, "2025-11"),
    "microsoft_teams_live": PlatformFact("Microsoft Teams", 9, "2025-11"),
    "google_meet": PlatformFact("Google Meet", 16, "2025-11"),
    "webex": PlatformFact("Webex", None, "2025-11"),
    "slack_huddle_observer": PlatformFact("Slack Huddles", None, "2025-11"),
    "slack_authenticator": PlatformFact("Slack Huddles", None, "2025-11"),
    "goto_meeting": PlatformFact("GoTo Meeting", None, "2025-11"),
}
"""What is known of separate audio on each platform: the only place for it.

A platform that is not here may give it or not. Correct a row together with its month.
"""


def never_recorded(kind: str, platform: str | None) -> Finding:
    """Return the warning about an artifact that the API does not have."""
    on = f"a {platform} meeting" if platform else "a meeting on a platform the API does not name"
    known = PLATFORM_FACTS.get(platform or "", "this platform may not give it")
    extra = f" ({known})" if kind == "audio_separate" else ""
    return Finding(
        f"no_{kind}",
        f"There is no {_LABEL[kind]} of this recording, {on}: {_CONSEQUENCE[kind]}; "
        f"create the bot with recording_config.{_CONFIG_KEY[kind]}{extra}.",
    )


def missing_audio(found: FoundArtifacts, platform: str | None) -> tuple[list[Finding], str]:
    """Return warnings about missing audio, and the code of the first loss.

    Audio that was never recorded is a warning, but no loss.
    """
    findings: list[Finding] = []
    for kind, artifact in (("audio_mixed", found.mixed), ("audio_separate", found.separate)):
        if artifact is None:
            findings.append(never_recorded(kind, platform))
        elif artifact.is_lost:
            findings.append(lost(artifact))
        elif artifact.kind == "video_mixed":
            findings.append(from_video())
    audio = (found.mixed, found.separate)
    return findings, next((a.code for a in audio if a is not None and a.is_lost), "")


def lost(artifact: Artifact) -> Finding:
    """Return the warning about an artifact that failed or was deleted."""
    why = f" ({artifact.sub_code})" if artifact.sub_code else ""
    return Finding(
        f"no_{artifact.kind}",
        f"The {_LABEL.get(artifact.kind, artifact.kind)} of this recording is {artifact.code}{why}: "
        f"{_CONSEQUENCE.get(artifact.kind, 'it is not available')}.",
    )


def time_of(text: str | None) -> datetime.datetime | None:
    """Return an ISO 8601 time, UTC where it names no zone, or None."""
    try:
        time = None if text is None else datetime.datetime.fromisoformat(text)
        return (
            None
            if time is None
            else time.replace(tzinfo=time.tzinfo or datetime.UTC).astimezone(datetime.UTC)
        )
    except (ValueError, OverflowError):
        return None


def expires_soon(recording: Recording, now: float) -> list[Finding]:
    """Return, and log, a note where the API soon deletes a recording's media for good, else nothing."""
    ends_at = time_of(recording.facts["expires_at"])
    if ends_at is None or not 0.0 < ends_at.timestamp() - now <= _EXPIRES_SOON_S:
        return []
    when = ends_at.isoformat(timespec="minutes")
    said = f"Recall.ai deletes the media of this recording for good at {when}: keep this copy."
    _log.warning("recording %s: %s", recording.recording_id, said)
    return [Finding("expires_soon", said, severity="note")]
