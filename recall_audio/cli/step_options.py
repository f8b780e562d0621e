"""Define the command line's options of the steps: named flags and ``--set STEP.NAME=VALUE``.

Both take the same road: one table says which field of which options class a flag sets, and a flag's value is
checked by the type that ``--set`` uses for that field.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_origin

import click
from click.core import ParameterSource

from recall_audio.model.options import (
    OPTION_FIELDS,
    STEPS,
    FetchOptions,
    OptionField,
    Options,
    with_changes,
)

LUFS_PRESETS = {"podcast": -16.0, "broadcast": -23.0}
"""Names for common loudness targets: podcast platforms ask for -16 LUFS, EBU R 128 for -23 LUFS."""

LOWEST_LUFS = -70.0
"""No target at or below the absolute gate of ITU-R BS.1770-4, LUFS."""

_CHANGES = "recall_audio.cli.changes"
"""Where a command's context keeps what its options set: ``{STEP.NAME: (value, the option that set it)}``."""


class Number(click.FloatRange):
    """A finite number, perhaps within limits."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Convert text to a number, and refuse NaN and infinity."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


class Several(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Values separated by commas."""

    name = "VALUE,VALUE"

    def __init__(self, item: Any, *, least: int = 0) -> None:
        self._item, self._least = item, least

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Any, ...]:
        """Convert text to a tuple, without blanks around values."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        found = tuple(self._item.convert(part, param, ctx) for part in parts if part)
        if len(found) < self._least:
            self.fail(f"{value!r} holds no value; expected values separated by commas", param, ctx)
        return found


class Artifact(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """An artifact of a recording: ``RECORDING_ID:KIND:ARTIFACT_ID``."""

    name = "RECORDING_ID:KIND:ARTIFACT_ID"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Convert text to the recording's id, the artifact's kind and its id."""
        parts = tuple(str(value).split(":"))
        if len(parts) != 3 or not all(parts):
            self.fail(f"{value!r} is not {self.name}", param, ctx)
        return parts


class Loudness(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A level in LUFS, or the name of a preset."""

    name = "LUFS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Convert a number or a preset's name to LUFS."""
        if isinstance(value, str) and value in LUFS_PRESETS:
            return LUFS_PRESETS[value]
        try:
            level = float(value)
        except ValueError:
            level = math.nan
        if not LOWEST_LUFS < level < 0.0:
            presets = " or ".join(LUFS_PRESETS)
            self.fail(f"{value!r} is not a level between {LOWEST_LUFS:g} and 0, nor {presets}", param, ctx)
        return level


class StemRate(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A sample rate in Hz, or ``native`` for each source's own rate (0)."""

    name = "HZ|native"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Convert a number or ``native`` to Hz."""
        rate_hz = 0 if value == "native" else int(value) if str(value).isdecimal() else -1
        if rate_hz != 0 and not 8_000 <= rate_hz <= 192_000:
            self.fail(f"{value!r} is neither a rate between 8000 and 192000 Hz nor native", param, ctx)
        return rate_hz


_POSITIVE = Number(min=0, min_open=True)
_SIDE_BY_SIDE = click.IntRange(1, 32)

_TYPES: Mapping[str, Any] = {
    "fetch.at_once": _SIDE_BY_SIDE,
    "fetch.bots_at_once": _SIDE_BY_SIDE,
    "fetch.known_artifacts": Several(Artifact()),
    "align.search_s": Number(0.1, 600),
    "speech.threshold": Number(0.05, 0.95),
    "talk.window_s": _POSITIVE,
    "talk.step_s": _POSITIVE,
    "stems.lufs": Loudness(),
    "stems.peak_dbtp": Number(-60, 0),
    "stems.max_gain_db": Number(0, 80),
    "stems.rate_hz": StemRate(),
    "features.longest_s": Number(1),
    "features.piece_s": Number(1),
    "features.f0_lowest_hz": Number(50, 2000),
    "features.f0_highest_hz": Number(50, 2000),
    "clips.longest_s": _POSITIVE,
    "transcript.word_share": Number(0, 1),
    "transcript.segment_share": Number(0, 1),
}
"""What a field's value has to be, where its Python type does not say it."""


def type_of(field: OptionField) -> Any:
    """Return the click type that checks a field's value."""
    key = f"{field.step}.{field.name}"
    if key in _TYPES:
        return _TYPES[key]
    if get_origin(field.type) is Literal:
        return click.Choice(get_args(field.type))
    return {
        bool: click.BOOL,
        int: click.IntRange(min=0),
        float: Number(min=0),
        tuple[str, ...]: Several(click.STRING),
        tuple[float, ...]: Several(Number(min=0), least=1),
    }[field.type]


@dataclass(frozen=True, slots=True)
class Flag:
    """A named flag: a shorter spelling of ``--set STEP.NAME=VALUE``.

    Attributes:
        name: the flag.
        keys: ``STEP.NAME`` of each field that it sets, one for each of its values.
        help: its help text.
        metavar: what its value is called in the help text.
        switch: what it sets the field to where it takes no value, else None.
        multiple: it may be repeated, once for each element of the field.
        command: the only command that has it; empty where every command with this step does.
    """

    name: str
    keys: tuple[str, ...]
    help: str
    metavar: str | None = None
    switch: bool | None = None
    multiple: bool = False
    command: str = ""

    @property
    def step(self) -> str:
        """The step whose options it sets."""
        return OPTION_FIELDS[self.keys[0]].step


FLAGS: tuple[Flag, ...] = (
    Flag("--wait", ("fetch.wait_s",), "Poll for up to this long while Recall.ai still processes audio.",
         "SECONDS"),
    Flag("--at-once", ("fetch.at_once",), "Download this many media files of a bot side by side."),
    Flag("--bots-at-once", ("fetch.bots_at_once",), "Fetch this many bots side by side."),
    Flag("--allow-download-host", ("fetch.allow_hosts",),
         "Allow media to come from a further host. May be repeated.", "HOST", multiple=True),
    Flag("--transcript", ("fetch.transcript",),
         "Fetch Recall.ai's transcript too, as source/transcript.json for merge-transcripts.", switch=True),
    Flag("--no-join", ("people.join",),
         "Keep the ids of a person who left and came back apart: each is a speaker.", switch=False),
    Flag("--search", ("align.search_s",), "Search for a part this far before and after its nominal start.",
         "SECONDS"),
    Flag("--whole-mix", ("align.whole_mix",), "Search for every part over the whole mix.", switch=True),
    Flag("--no-align", ("align.enabled",), "Keep every nominal start.", switch=False),
    Flag("--keep-leakage", ("speech.remove_leakage",), "Count voices that leak into a track as its speech.",
         switch=False),
    Flag("--threshold", ("speech.threshold",), "Count as speech what is at least this probable."),
    Flag("--normalize", ("stems.normalize",), "Choose what sets the level of the stems."),
    Flag("--lufs", ("stems.lufs",),
         "Aim for this loudness of a participant's speech: LUFS, or podcast (-16), broadcast (-23).", "LUFS"),
    Flag("--peak", ("stems.peak_dbtp",), "Keep the true peak of every stem below this.", "DBTP"),
    Flag("--max-gain", ("stems.max_gain_db",), "Amplify no stem by more than this.", "DB"),
    Flag("--limit", ("stems.limit",), "Reach the loudness with a limiter where peaks would prevent it.",
         switch=True),
    Flag("--rate", ("stems.rate_hz",), "Write stems at this sample rate.", "HZ|native"),
    Flag("--bits", ("stems.bits",), "Write WAV stems in this sample format."),
    Flag("--stem-format", ("stems.format",), "Write stems in this format; all but WAV need ffmpeg."),
    Flag("--mixdown", ("stems.mixdown",), "Write the sum of the stems too.", switch=True),
    Flag("--poly", ("stems.poly",), "Write one multichannel WAV of all stems too.", switch=True),
    Flag("--gate", ("stems.gate",), "Mute what is not the participant's own speech.", switch=True),
    Flag("--speakers", ("stems.speakers",), "Write only the stems of these participants.", "LABEL,LABEL"),
    Flag("--silent-stems", ("stems.silent",),
         "Write the stems of participants who never speak, too.", switch=True),
    Flag("--keep-outside", ("transcript.keep_outside",),
         "Keep words outside their speaker's own speech.", switch=True),
    Flag("--window", ("talk.window_s",),
         "Measure in sliding windows of this length instead of the whole meeting.",
         "SECONDS", command="talk"),
    Flag("--step", ("talk.step_s",), "Start each window this long after the one before.",
         "SECONDS", command="talk"),
    Flag("--longest", ("features.longest_s",),
         "Analyse at most this much of a turn, in pieces spread over it.", "SECONDS"),
    Flag("--f0", ("features.f0_lowest_hz", "features.f0_highest_hz"),
         "Look for pitch between these frequencies, in Hz.", "LOW HIGH"),
)  # fmt: skip
"""Every named flag that sets an option of a step."""


class Chosen(dict[str, Any]):
    """The options of a command's steps, by step; defaults where the command line says nothing.

    Attributes:
        changed: ``STEP.NAME`` of the fields that the command line sets.
    """

    def __init__(self, steps: Sequence[str], changes: Mapping[str, Any]) -> None:
        super().__init__(with_changes({step: STEPS[step]() for step in steps}, changes))
        self.changed = frozenset(changes)

    @property
    def processing(self) -> Options:
        """The options of processing."""
        return Options(**{field.name: self[field.name] for field in fields(Options)})

    @property
    def fetching(self) -> FetchOptions:
        """The options of fetching, defaults where the command fetches nothing."""
        return self.get("fetch", FetchOptions())  # type: ignore[no-any-return]


PROCESSING = tuple(field.name for field in fields(Options))
"""The steps of processing, in order."""


def step_options(*steps: str, command: str = "") -> Callable[[Any], Any]:
    """Return a decorator that gives a command the options of these steps as its keyword ``chosen``.

    Args:
        steps: keys of :data:`~recall_audio.model.options.STEPS`; the command has their flags and ``--set``.
        command: add the flags that this command alone has, instead of ``--set`` and all others.
    """
    flags = [flag for flag in FLAGS if flag.step in steps and flag.command == command]
    decorators = [_flag_option(flag) for flag in flags] + ([] if command else [_set_option(steps)])

    def decorate(function: Callable[..., Any]) -> Any:
        @functools.wraps(function)
        def with_chosen(*args: Any, **values: Any) -> Any:
            noted = click.get_current_context().meta.get(_CHANGES, {})
            chosen = Chosen(steps, {key: value for key, (value, _) in noted.items()})
            return function(*args, chosen=chosen, **values)

        decorated: Any = with_chosen
        for decorator in reversed(decorators):
            decorated = decorator(decorated)
        return decorated

    return decorate


def _flag_option(flag: Flag) -> Callable[[Any], Any]:
    """Return the click option of a named flag."""
    named = [OPTION_FIELDS[key] for key in flag.keys]

    def note(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if ctx.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE:
            values = value if len(flag.keys) > 1 else [value if flag.switch is None else flag.switch]
            for key, one in zip(flag.keys, values, strict=True):
                _note(ctx, key, one, flag.name)

    about: dict[str, Any] = {"callback": note, "expose_value": False, "help": flag.help}
    if flag.switch is not None:
        return click.option(flag.name, is_flag=True, **about)
    if flag.multiple:
        return click.option(flag.name, multiple=True, metavar=flag.metavar, **about)
    defaults = tuple(field.default for field in named)
    return click.option(
        flag.name,
        type=type_of(named[0]),
        nargs=len(named),
        default=defaults if len(named) > 1 else defaults[0],
        show_default=defaults != ((),),
        metavar=flag.metavar,
        **about,
    )


def _set_option(steps: Sequence[str]) -> Callable[[Any], Any]:
    """Return the click option ``--set`` for the options of these steps."""
    keys = [key for key, field in OPTION_FIELDS.items() if field.step in steps]
    example = next(key for key in keys if isinstance(OPTION_FIELDS[key].default, float))

    def note(ctx: click.Context, param: click.Parameter, changes: Sequence[str]) -> None:
        for change in changes:
            key, equals, text = (part.strip() for part in change.partition("="))
            if not equals or key not in keys:
                raise click.UsageError(f"--set {change}: expected STEP.NAME=VALUE, {_expected(key, keys)}.")
            try:
                value = type_of(OPTION_FIELDS[key]).convert(text, param, ctx)
            except click.BadParameter as error:
                raise click.UsageError(f"--set {change}: {error.message}") from None
            _note(ctx, key, value, "--set")

    return click.option(
        "--set", "changes", multiple=True, metavar="STEP.NAME=VALUE", callback=note, expose_value=False,
        help=f"Set any option of {_listed(steps)} by its name, e.g. {example}=1. May be repeated.",
    )  # fmt: skip


def _expected(key: str, keys: Sequence[str]) -> str:
    """Return which names may stand before the ``=``: those of the step that was named, if there is one."""
    of_step = [known for known in keys if known.split(".")[0] == key.split(".", maxsplit=1)[0]]
    return f"STEP.NAME one of {', '.join(of_step or keys)}"


def _listed(words: Sequence[str]) -> str:
    """Return words as a list in a sentence."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _note(ctx: click.Context, key: str, value: Any, option: str) -> None:
    """Note the value of a field.

    Raises:
        click.UsageError: a flag and ``--set`` both set this field.
    """
    noted = ctx.meta.setdefault(_CHANGES, {})
    if key in noted and noted[key][1] != option:
        flag = next(name for name in (option, noted[key][1]) if name != "--set")
        raise click.UsageError(f"{flag} and --set {key} set the same option: give one of them.")
    noted[key] = (value, option)
