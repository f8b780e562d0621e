"""The command line: parse, one call, print."""


def main() -> None:
    """Entry point of ``recall-audio``."""
