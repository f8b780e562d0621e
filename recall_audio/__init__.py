"""Who spoke, when, how much and over whom in meetings recorded by Recall.ai bots.

Everything public is imported from here, and loaded only when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from recall_audio.core.alignment.align import align
    from recall_audio.core.speech.find import find_speech
    from recall_audio.core.talk.measure import measure_talk
    from recall_audio.core.voice.features import measure_voice
    from recall_audio.detector import load as load_detector
    from recall_audio.errors import RecallAudioError
    from recall_audio.fetch import Settings
    from recall_audio.model.options import (
        AlignOptions,
        FeatureOptions,
        FetchOptions,
        Options,
        SpeechOptions,
        StemOptions,
        TalkOptions,
    )
    from recall_audio.model.timemap import TimeMap
    from recall_audio.model.tracks import PartAudio, PlacedPart, Track
    from recall_audio.pipeline.process import process
    from recall_audio.pipeline.stems.export import export_stems
    from recall_audio.results.data_frames import collect
    from recall_audio.results.recording import Recording, open, run

_HOME = {
    "AlignOptions": "model.options",
    "FeatureOptions": "model.options",
    "FetchOptions": "model.options",
    "Options": "model.options",
    "PartAudio": "model.tracks",
    "PlacedPart": "model.tracks",
    "RecallAudioError": "errors",
    "Recording": "results.recording",
    "Settings": "fetch",
    "SpeechOptions": "model.options",
    "StemOptions": "model.options",
    "TalkOptions": "model.options",
    "TimeMap": "model.timemap",
    "Track": "model.tracks",
    "align": "core.alignment.align",
    "collect": "results.data_frames",
    "export_stems": "pipeline.stems.export",
    "find_speech": "core.speech.find",
    "load_detector": "detector",
    "measure_talk": "core.talk.measure",
    "measure_voice": "core.voice.features",
    "open": "results.recording",
    "process": "pipeline.process",
    "run": "results.recording",
}

__all__ = [
    "AlignOptions",
    "FeatureOptions",
    "FetchOptions",
    "Options",
    "PartAudio",
    "PlacedPart",
    "RecallAudioError",
    "Recording",
    "Settings",
    "SpeechOptions",
    "StemOptions",
    "TalkOptions",
    "TimeMap",
    "Track",
    "align",
    "collect",
    "export_stems",
    "find_speech",
    "load_detector",
    "measure_talk",
    "measure_voice",
    "open",
    "process",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'recall_audio' has no attribute {name!r}")
    home = import_module(f"recall_audio.{_HOME[name]}")
    return getattr(home, "load" if name == "load_detector" else name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
