"""The command line: parse, one call, print. Nothing heavy is imported until a command runs."""

from recall_audio.cli.main import main

__all__ = ["main"]
