"""Runs the tour and puts its pictures and its words into the README: `make readme`."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUN = ROOT / "build" / "tour"


def main() -> None:
    shutil.rmtree(RUN, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "minilm", "tour", "--out", str(RUN)], check=True)
    for picture in ("loss.png", "attention.png"):
        shutil.copy(RUN / picture, ROOT / "docs" / picture)
    samples = (RUN / "samples.txt").read_text(encoding="utf-8").rstrip()
    readme = ROOT / "README.md"
    begin, end = "<!-- sample: begin (make readme) -->", "<!-- sample: end -->"
    pattern = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
    text = pattern.sub(lambda _: f"{begin}\n```text\n{samples}\n```\n{end}", readme.read_text(encoding="utf-8"))
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
