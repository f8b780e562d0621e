"""Define the commands that find out more of a recording than every run does: score, features, transcribe."""

from typing import TYPE_CHECKING, Any, Literal

import click

from recall_audio.cli.export import RegistryChoice, check_clips
from recall_audio.cli.locations import (
    LocationType,
    folder_argument,
    folders_at,
    one_recording,
    publish,
)
from recall_audio.cli.logs import say_notes
from recall_audio.cli.options import format_option, quiet_option
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


@click.command(short_help="Transcribe what each person said, with an engine you have.")
@click.argument("folders", metavar="DIR|URL...", nargs=-1, required=True, type=LocationType())
@click.option("--engine", type=RegistryChoice("recall_audio.transcripts.engines:ENGINE_NAMES"),
              default="faster-whisper", show_default=True,
              help="Transcribe with this: faster-whisper on this machine (extra `transcribe`), any endpoint "
              "like OpenAI's, or Recall.ai's own transcript.")  # fmt: skip
@click.option("--model", metavar="NAME|DIR", help="Use this model; small, or whisper-1 of an endpoint, where "
              "not given.")  # fmt: skip
@click.option("--language", metavar="CODE",
              help="Expect this language, e.g. en; it is detected where not given.")  # fmt: skip
@click.option("--url", metavar="URL", help="Ask this endpoint, https://HOST/v1 or one on this machine; its "
              "key is RECALL_TRANSCRIBE_KEY.")  # fmt: skip
@click.option("--to", "forms", multiple=True,
              type=RegistryChoice("recall_audio.export.transcripts:TRANSCRIPT_FORMATS"),
              help="Write this format to DIR/transcript. May be repeated; all where not given.")  # fmt: skip
@click.option("--force", is_flag=True, help="Transcribe again what has been transcribed.")
@step_options("clips", "transcript")
@quiet_option
def transcribe(
    folders: "tuple[Location, ...]", engine: str, forms: tuple[str, ...], chosen: Chosen, **values: Any
) -> int:
    """Transcribe recordings: the words of each person, with an engine you have.

    Only clips of each participant's own speech are transcribed, cut where others speak: one who never speaks
    is never sent, and no voice that leaks into a track is written twice. Words outside own speech are dropped
    and counted. Times are those of the meeting.

    Each recording gets transcript.json, and in DIR/transcript WebVTT, SRT, text, WhisperX's JSON and SegLST;
    talk.json (words, words a minute, questions) and report.html are made again. Print the files written. An
    interrupted run goes on where it ended.
    """
    from recall_audio.cli.progress import Progress
    from recall_audio.errors import ItemError, TransientError
    from recall_audio.results.transcribe import make_engine, transcribe_folder

    check_clips(chosen["clips"])
    made, codes = make_engine(engine, values["model"], values["language"], values["url"]), {0}
    found = list(dict.fromkeys(f for place in folders for f in folders_at(place)))
    quiet: bool = values["quiet"]
    with Progress(quiet=quiet) as progress, say_notes("recall_audio.results.transcripts", quiet=quiet):
        for folder in found:
            try:
                written = transcribe_folder(
                    folder,
                    made,
                    forms,
                    chosen["transcript"],
                    chosen["clips"],
                    lambda done, total, name=folder.name: progress(name, "transcribe", done, total),  # type: ignore[misc]
                    force=values["force"],
                )
            except (ItemError, TransientError) as error:
                click.echo(f"left out: {folder}: {error}", err=True)
                codes.add(5 if isinstance(error, TransientError) else 1)
                continue
            for path in written:
                click.echo(publish(path))
    return 1 if 1 in codes else max(codes)


COMMANDS: tuple[Any, ...] = (score, features, transcribe)
