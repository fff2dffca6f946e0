"""Puts a tour's pictures and words into the README: `make readme`, or with RUN=folder those of a tour already made."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def new_tour() -> Path:
    run = ROOT / "build" / "tour"
    shutil.rmtree(run, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "minilm", "tour", "--out", str(run)], check=True)
    return run


def main() -> None:
    run = Path(sys.argv[1]) if len(sys.argv) > 1 else new_tour()
    for picture in ("gpt/loss.png", "gpt/attention.png", "bert/masks.png", "tagging/arms.png"):
        shutil.copy(run / picture, ROOT / "docs" / Path(picture).name)
    samples = (run / "gpt" / "samples.txt").read_text(encoding="utf-8").rstrip()
    readme = ROOT / "README.md"
    begin, end = "<!-- sample: begin (make readme) -->", "<!-- sample: end -->"
    pattern = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
    text = pattern.sub(lambda _: f"{begin}\n```text\n{samples}\n```\n{end}", readme.read_text(encoding="utf-8"))
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
