"""The demo: the whole job on the sample meeting, through a stand-in of the API on loopback."""

from pathlib import Path

import click


@click.command(short_help="The whole job on a sample meeting: no key, no network.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("recall-audio-demo"),
              show_default=True, help="Output folder.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
def demo(out: Path, quiet: bool) -> int:
    """The whole job on a sample meeting: no key, no network, no ffmpeg.

    A stand-in of the API and its store serves the sample on this machine; the ordinary `run` does the rest.
    """
    from recall_audio import batch
    from recall_audio.cli.printing import print_outcomes
    from recall_audio.cli.progress import Progress
    from recall_audio.results.sample import sample_meeting

    with sample_meeting() as (bot_id, settings), Progress(quiet=quiet) as progress:
        outcomes = batch.run([bot_id], lambda: settings, batch.Request(out=out), progress)
    return print_outcomes(outcomes, as_json=False)
