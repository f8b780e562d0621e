from .core.alignment.align import align as align
from .core.talk.measure import measure_talk as measure_talk
from .core.voice import measure_voice as measure_voice
from .detector import load_detector as load_detector
from .errors import RecallAudioError as RecallAudioError
from .fetch import Settings as Settings
from .model.alignment import PartAudio as PartAudio
from .model.alignment import PlacedPart as PlacedPart
from .model.alignment import TimeMap as TimeMap
from .model.alignment import Track as Track
from .model.options import AlignOptions as AlignOptions
from .model.options import FeatureOptions as FeatureOptions
from .model.options import FetchOptions as FetchOptions
from .model.options import Options as Options
from .model.options import SpeechOptions as SpeechOptions
from .model.options import StemOptions as StemOptions
from .model.options import TalkOptions as TalkOptions
from .pipeline.process import process as process
from .pipeline.stages import find_speech as find_speech
from .pipeline.stems.export import export_stems as export_stems
from .results.collect import collect as collect
from .results.recording import Recording as Recording
from .results.recording import open as open
from .results.recording import open_many as open_many
from .results.recording import run as run

__version__: str
