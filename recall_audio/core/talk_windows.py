"""How talk is spread over the meeting: the base figures in sliding windows.

::

    0 ------------------------- 150
           30 ------------------------- 180          every window lies whole inside the meeting;
                  60 ------------------------- 210   one shorter than a window is one window itself

Windows overlap, so neighbouring values are not independent.
"""

from collections.abc import Mapping

import numpy as np

from recall_audio.core.activity import at_least, covered
from recall_audio.core.equality import measure_equality
from recall_audio.core.schedule import Rows, make_schedule, to_s
from recall_audio.errors import UsageError
from recall_audio.model.options import TalkOptions
from recall_audio.model.talk import TalkWindow
from recall_audio.units import to_samples


def slide_talk(
    segments: Mapping[str, Rows],
    duration_s: float,
    options: TalkOptions = TalkOptions(),  # noqa: B008 - a frozen value
) -> tuple[TalkWindow, ...]:
    """Talk, overlap and equality in windows of ``options.window_s``, one every ``options.step_s``.

    Args:
        segments: label to ``[[start_s, end_s], ...]``; an empty list for a silent participant.
        duration_s: the mix's duration.
        options: the windows' length and step.

    Raises:
        UsageError: a time is not a finite number, or a window's length or step is not above 0.
    """
    window, step = to_samples(options.window_s), to_samples(options.step_s)
    if window < 1 or step < 1:
        raise UsageError("A window's length and step must be above 0 s.", "Try --window 150 --step 30.")
    schedule = make_schedule(segments, duration_s)
    width = min(window, schedule.duration)
    starts = np.arange(0, schedule.duration - width + 1, step, dtype=np.int64)
    sets = [*schedule.speech.values(), *(at_least(list(schedule.speech.values()), k) for k in (1, 2))]
    held = np.array([covered(s, starts + width) - covered(s, starts) for s in sets]).reshape(len(sets), -1)
    windows = []
    for start, (*talk, speech, overlap) in zip(starts.tolist(), held.T.tolist(), strict=True):
        talk_s = {label: to_s(t) for label, t in zip(schedule.speech, talk, strict=True)}
        times = to_s(start), to_s(start + width)
        windows.append(TalkWindow(*times, to_s(speech), to_s(overlap), talk_s, measure_equality(talk)))
    return tuple(windows)
