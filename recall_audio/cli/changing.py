"""``--set STEP.NAME=VALUE``: whatever of speech and talk has no option of its own."""

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import click

from recall_audio.model.options import Options

_STEPS = ("speech", "talk")
_OPTIONS_OF_THEIR_OWN = ("speech.threshold", "speech.remove_leakage")

set_option = click.option(
    "--set", "changes", multiple=True, metavar="STEP.NAME=VALUE",
    help="Another parameter of speech or talk: speech.bridge_s=0.3, talk.turn_join_s=2. May be repeated.",
)  # fmt: skip


def changed(options: Options, changes: Sequence[str]) -> Options:
    """Options with changes of the form ``talk.turn_join_s=2`` applied.

    Raises:
        click.UsageError: there is no such parameter, or the value is none for it.
    """
    for change in changes:
        place, equals, text = change.partition("=")
        step, _, name = place.strip().partition(".")
        known = _parameters(options)
        if not equals or place.strip() not in known:
            raise click.UsageError(f"--set {change}: expected NAME=VALUE, NAME of {', '.join(known)}.")
        value = _value(text.strip(), known[place.strip()])
        if value is None:
            raise click.UsageError(f"--set {change}: {text.strip()!r} is no value for it.")
        options = replace(options, **{step: replace(getattr(options, step), **{name: value})})
    return options


def _parameters(options: Options) -> dict[str, Any]:
    steps = {name: getattr(options, name) for name in _STEPS}
    found = {f"{name}.{f.name}": getattr(step, f.name) for name, step in steps.items() for f in fields(step)}
    return {name: value for name, value in found.items() if name not in _OPTIONS_OF_THEIR_OWN}


def _value(text: str, like: Any) -> Any:
    """A number of 0 or more, or several where `like` is several; None where the text is none."""
    if isinstance(like, tuple):
        several = [_value(part.strip(), 0.0) for part in text.split(",") if part.strip()]
        return None if None in several or not several else tuple(several)
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
