"""What to tell about audio that was never recorded: which platform it was, what to switch on next time."""

from recall_audio.fetch.payloads import Artifact
from recall_audio.model.findings import Finding

_SWITCH = {"audio_mixed": "audio_mixed_mp3", "audio_separate": "audio_separate_mp3"}
_WORDS = {"audio_mixed": "mixed audio", "audio_separate": "separate audio"}
_LOSS = {
    "audio_mixed": "parts are placed by their nominal starts",
    "audio_separate": "speakers cannot be told apart",
}
_SEPARATE_ON = {
    "zoom": "on Zoom it needs a native bot",
    "microsoft_teams": "Microsoft Teams gives it",
    "microsoft_teams_live": "Microsoft Teams gives it",
    "google_meet": "on Google Meet only newer accounts have it, as a beta",
}


def never_recorded(kind: str, platform: str | None) -> Finding:
    """One sentence about an artifact that the API does not have."""
    on = f"a {platform} meeting" if platform else "a meeting on a platform the API does not name"
    known = _SEPARATE_ON.get(platform or "", "this platform may not give it")
    extra = f" ({known})" if kind == "audio_separate" else ""
    return Finding(
        f"no_{kind}",
        f"There is no {_WORDS[kind]} of this recording, {on}: {_LOSS[kind]}; "
        f"create the bot with recording_config.{_SWITCH[kind]}{extra}.",
    )


def lost(artifact: Artifact) -> Finding:
    """One sentence about an artifact that failed or was deleted."""
    why = f" ({artifact.sub_code})" if artifact.sub_code else ""
    return Finding(
        f"no_{artifact.kind}",
        f"The {_WORDS.get(artifact.kind, artifact.kind)} of this recording is {artifact.code}{why}: "
        f"{_LOSS.get(artifact.kind, 'it cannot be had')}.",
    )
