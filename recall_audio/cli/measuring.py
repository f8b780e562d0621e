"""Commands that measure more of one recording than every run does."""

from pathlib import Path
from typing import Any, Literal

import click

from .selecting import folder_argument, format_option, one_recording


@click.command(short_help="How well a speaker timeline or an RTTM file agrees.")
@folder_argument
@click.option("--against", required=True, metavar="speaker-timeline|FILE.rttm",
              help="The platform's own active-speaker events, or a file in RTTM.")  # fmt: skip
@click.option("--as", "role", type=click.Choice(["reference", "hypothesis"]),
              help="What it is taken for: a file is the reference, the timeline the hypothesis, "
              "where not given.")  # fmt: skip
@click.option("--collar", "collars_ms", type=click.FloatRange(min=0), multiple=True, metavar="MS",
              help="Leave out so many ms on each side of the reference's edges; may be repeated; "
              "0 and 250 where not given.")  # fmt: skip
@click.option("--skip-overlap", is_flag=True, help="Leave out where the reference has several speakers.")
@format_option
def score(
    folder: Path,
    against: str,
    role: Literal["reference", "hypothesis"] | None,
    collars_ms: tuple[float, ...],
    skip_overlap: bool,
    form: str,
) -> None:
    """How well the speech found on the tracks agrees with the platform's speaker timeline, or an RTTM file.

    Diarization, identification, Jaccard and detection error by pyannote.metrics (extra `score`). A collar is
    told by what is left out on one side of an edge: ±250 ms is a total width of half a second.
    """
    from recall_audio.workflow.scoring import COLLARS_MS, as_rows, score_recording

    from .printing import print_table

    found = score_recording(
        one_recording(folder), against, role, collars_ms or COLLARS_MS, skip_overlap=skip_overlap
    )
    print_table(*as_rows(found), form)


COMMANDS: tuple[Any, ...] = (score,)
