"""A batch from the command line: progress while it runs, a summary however it ends."""

from collections import Counter
from collections.abc import Callable, Sequence

from recall_audio.batch import Ended
from recall_audio.cli import logs
from recall_audio.cli.progress import Progress
from recall_audio.errors import RecallAudioError
from recall_audio.model.outcome import Outcome

Work = Callable[[Progress, Ended], list[Outcome]]


def carried_out(n_items: int, work: Work, *, quiet: bool, as_json: bool) -> int:
    """Carry out a batch of so many bots or folders; show how it ended and give the exit code.

    Interrupted, or ended by an error that stands for all, it shows what had ended by then, and raises on.
    """
    from recall_audio.cli.printing import print_outcomes

    heard: list[Outcome] = []
    with Progress(quiet=quiet, n_items=n_items) as progress:

        def hear(outcome: Outcome) -> None:
            heard.append(outcome)
            progress.ended(outcome)

        try:
            outcomes = work(progress, hear)
        except (KeyboardInterrupt, RecallAudioError):
            progress.close()
            if heard:
                print_outcomes(heard, as_json=as_json)
                _say_counts(heard, n_items)
            raise
    code = print_outcomes(outcomes, as_json=as_json)
    if n_items > 1:
        _say_counts(outcomes, n_items)
    return code


def _say_counts(outcomes: Sequence[Outcome], n_items: int) -> None:
    facts: dict[str, int] = Counter(o.status for o in outcomes)
    logs.say(counted(outcomes, n_items), **facts)


def counted(outcomes: Sequence[Outcome], n_items: int) -> str:
    """A batch in one line: how many ended how, and how many were not begun."""
    how_many = Counter(o.told for o in outcomes)
    said = [f"{n} {status}" for status, n in how_many.most_common()]
    begun = len({o.bot_id if o.bot_id else o.folder for o in outcomes})
    left = max(n_items - begun, 0)
    return ", ".join([*said, *([f"{left} not begun"] if left else [])]) + "."
