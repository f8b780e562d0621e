"""The fixture's table, and how two implementations agree over a thousand random meetings.

    python tests/benchmarks/talk.py [--meetings 1000]

The second implementation is tests/frame_matrix.py: it walks through a matrix of frames and shares no line
with the package. Every figure is compared, of every speaker, pair and meeting; a difference ends the script.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:1] = [
    str(TESTS),
    str(TESTS / "core" / "talk"),
]  # not this folder, whose files have names of packages

import test_talk_two_ways as two_ways  # noqa: E402
from test_talk import FIXTURE  # noqa: E402

from recall_audio.core.talk.measure import measure_talk  # noqa: E402


def show_fixture() -> None:
    """The meeting of 21 s whose answers are known."""
    talk = measure_talk(FIXTURE, 21.0, presence={label: [[0, 21]] for label in FIXTURE})
    print("speaker  talk_s  exclusive_s  of talk  of speech  of meeting  turns  monologue  latency")
    for label, s in talk.speakers.items():
        shares = (s.share_of_talk or 0.0, s.share_of_speech or 0.0, s.share_of_meeting or 0.0)
        told = "  ".join(f"{share:8.4f}" for share in shares)
        rest = f"{s.turns:5d}  {s.longest_monologue_s!s:>9}  {s.response_latency_s.median!s:>7}"
        print(f"{label:7}  {s.talk_s:6.1f}  {s.exclusive_s:11.1f} {told}  {rest}")
    even = talk.equality
    print(f"D_k {talk.time_by_speakers_s}  S {talk.talk_s}  U {talk.speech_s}  O {talk.overlap_s}")
    print(f"O/U {talk.overlap_of_speech:.4f}  O/D {talk.overlap_of_meeting:.4f}  Gini {even.gini:.4f}, "
          f"normalised {even.gini_normalised:.4f}, entropy {even.entropy:.4f}")  # fmt: skip
    moves = ", ".join(f"{t.earlier}>{t.later} {t.fto_s:+.1f}" for t in talk.events.transitions)
    print(f"floor {moves}; {talk.turn_taking.switches} switches")


def compare(n_meetings: int) -> None:
    """Every figure of every meeting; AssertionError where one differs."""
    seen: Counter[str] = Counter()
    for seed in range(n_meetings):
        active = two_ways.meeting(seed)
        two_ways.compare_base(active, seed)
        two_ways.compare_turns(active, seed)
        talk = two_ways.measured(active, seed)
        seen["speakers"] += len(talk.speakers)
        seen["pairs"] += len(talk.pairs)
        seen["units"] += talk.turn_taking.ipus
        seen["floor steps"] += talk.turn_taking.switches + talk.turn_taking.pauses.n
        seen["overlaps"] += len(talk.events.overlaps)
        seen["offsets"] += talk.turn_taking.fto_s.n
    held = ", ".join(f"{n} {what}" for what, n in seen.items())
    print(f"{n_meetings} random meetings, two implementations, no difference: {held}")


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--meetings", type=int, default=1000)
    show_fixture()
    compare(options.parse_args().meetings)
