"""Rewrite the demo's output in README.md.

Run it after a change of a figure: ``.venv/bin/python .ci/readme_output.py``. tests/test_readme.py compares
the README with the demo, figures included.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
OUTPUT = re.compile(r"(?<=\nThe demo prints:\n\n```text\n).*?(?=^```$)", flags=re.MULTILINE | re.DOTALL)


def demo_output() -> str:
    """Run the demo in an empty folder and return what it prints on stdout."""
    command = [sys.executable, "-m", "recall_audio", "demo", "--quiet"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, encoding="utf-8")
    return done.stdout


def main() -> None:
    """Replace the block of output in README.md."""
    text, found = OUTPUT.subn(lambda _: demo_output(), README.read_text("utf-8"))
    if found != 1:
        sys.exit(f"README.md has {found} blocks of the demo's output, expected one after 'The demo prints:'.")
    README.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
