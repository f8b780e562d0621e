"""Run the command line by ``python -m recall_audio``, the same as ``recall-audio``."""

from recall_audio.cli import main

main()
