"""Draw report.png, the first screen of a report, by day and by night: python docs/images/report.py

It needs Chromium, selenium and Pillow (see tests/browser.py)."""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))
from browser import Browser  # noqa: E402

WIDTH, HEIGHT, SCALE = 1120, 1290, 0.4


def main():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "backprop", "train", "--quiet"], cwd=folder, check=True
        )
        browser = Browser()
        browser._screen(width=WIDTH, height=HEIGHT, deviceScaleFactor=2, mobile=False)
        browser.open(Path(folder) / "digits.html")
        both = Image.new("RGB", (int(4 * WIDTH * SCALE), int(2 * HEIGHT * SCALE)))
        for i, dark in enumerate((False, True)):
            browser.dark(dark)
            browser.screenshot(Path(folder) / "page.png", whole=False)
            page = Image.open(Path(folder) / "page.png").convert("RGB")
            page = page.resize((int(2 * WIDTH * SCALE), int(2 * HEIGHT * SCALE)), Image.LANCZOS)
            both.paste(page, (i * page.width, 0))
        browser.quit()
    both.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        HERE / "report.png", optimize=True
    )


if __name__ == "__main__":
    main()
