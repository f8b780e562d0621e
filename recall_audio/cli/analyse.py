"""Define the commands that measure more of one recording than every run does: score, features."""

from typing import TYPE_CHECKING, Any, Literal

import click

from recall_audio.cli.locations import folder_argument, format_option, one_recording
from recall_audio.cli.step_options import Chosen, step_options
from recall_audio.model.options import FeatureOptions

if TYPE_CHECKING:
    from recall_audio.storage import Location

_SHORT = (
    "speaker",
    "start_s",
    "end_s",
    "alone_s",
    "f0_median_hz",
    "f0_range_semitones",
    "level_dbfs",
    "level_to_own_median_db",
    "syllables_per_s",
    "centroid_hz",
)


@click.command(short_help="Score a speaker timeline or an RTTM file against the speech found.")
@folder_argument
@click.option("--against", required=True, metavar="speaker-timeline|FILE.rttm",
              help="Compare with the platform's active-speaker events, or with a file in RTTM.")  # fmt: skip
@click.option("--as", "role", type=click.Choice(["reference", "hypothesis"]),
              help="Treat it as this; where not given, a file is the reference, the timeline the "
              "hypothesis.")  # fmt: skip
@click.option("--collar", "collars_ms", type=click.FloatRange(min=0), multiple=True, metavar="MS",
              help="Leave out this many ms on each side of the reference's edges. May be repeated; "
              "0 and 250 where not given.")  # fmt: skip
@click.option(
    "--skip-overlap", is_flag=True, help="Leave out times at which the reference has several speakers."
)
@format_option
def score(
    folder: "Location",
    against: str,
    role: Literal["reference", "hypothesis"] | None,
    collars_ms: tuple[float, ...],
    skip_overlap: bool,
    form: str,
) -> None:
    """Score how well the speech found agrees with the platform's speaker timeline or an RTTM file.

    Diarization, identification, Jaccard and detection error by pyannote.metrics (extra `score`). A collar
    is given by what is left out on one side of an edge: 250 ms leaves out half a second in all.
    """
    from recall_audio.cli.printing import print_table
    from recall_audio.results.score import COLLARS_MS, score_recording, scores_table

    found = score_recording(
        one_recording(folder, "source/speaker_timeline"),
        against,
        role,
        collars_ms or COLLARS_MS,
        skip_overlap=skip_overlap,
    )
    print_table(*scores_table(found), form)


@click.command(short_help="Measure how each voice sounds, turn by turn.")
@folder_argument
@format_option
@step_options("features")
def features(folder: "Location", form: str, chosen: Chosen) -> None:
    """Measure pitch, level, pace and brightness of every turn where its speaker speaks alone, by librosa.

    F0 median and range, level as recorded, syllable nuclei a second (a proxy of the articulation rate),
    spectral centroid. JSON and CSV hold more columns than the table, and why a figure is missing. An hour of
    talk takes about a minute; librosa's first use on a machine 20 seconds more.
    """
    from recall_audio.cli.printing import print_table
    from recall_audio.cli.progress import Progress
    from recall_audio.results.voice_features import features_table, measure_features

    options: FeatureOptions = chosen["features"]
    recording = one_recording(folder, "stems/")
    with Progress() as progress:
        found = measure_features(
            recording,
            options,
            lambda done, total: progress(recording.name, "features", done, total),
        )
    columns, rows = features_table(found)
    kept = [columns.index(c) for c in _SHORT] if form == "table" else range(len(columns))
    print_table([columns[i] for i in kept], [[row[i] for i in kept] for row in rows], form)


COMMANDS: tuple[Any, ...] = (score, features)
