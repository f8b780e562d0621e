"""Make the README's picture: the first screen of the sample meeting's report, in headless Chromium.

    python tests/benchmarks/report_picture.py [PICTURE]

The picture is `.github/report.png` where none is named. Run it again when the page changes, and look at the
picture before you commit it.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from recall_audio import batch
from recall_audio.results.sample import sample_meeting

WIDTH_PX, HEIGHT_PX = 1280, 868
LARGEST_BYTES = 250_000
PICTURE = Path(__file__).resolve().parents[2] / ".github" / "report.png"


def write_sample_report(out: Path) -> Path:
    """Process the sample meeting below `out`, and return its report."""
    with sample_meeting() as (bot_id, settings):
        (outcome,) = batch.run([bot_id], lambda: settings, batch.Request(out=out))
    return Path(outcome.folder) / "report.html"


def take_picture(page: Path, picture: Path) -> None:
    """Write the page's first screen, in its light colours, as PNG."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("Neither chromium nor google-chrome is on PATH: install one of them.")
    with tempfile.TemporaryDirectory() as profile:
        command = [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--force-device-scale-factor=1",
            "--virtual-time-budget=3000",
            f"--window-size={WIDTH_PX},{HEIGHT_PX}",
            f"--user-data-dir={profile}",
            f"--screenshot={picture}",
            page.as_uri(),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=120)


def main() -> None:
    """Make the picture, and fail where it is too large for a README."""
    picture = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else PICTURE
    picture.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as out:
        take_picture(write_sample_report(Path(out)), picture)
    size = picture.stat().st_size
    print(f"{picture}: {size / 1000:.0f} kB")
    if size > LARGEST_BYTES:
        sys.exit(f"The picture has {size} bytes; at most {LARGEST_BYTES} were expected.")


if __name__ == "__main__":
    main()
