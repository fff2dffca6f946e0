"""compare50 (CS50's; pip install compare50) instead of our own winnowing, where it is installed, in its own process.

`python by_compare50.py FOLDER N` compares FOLDER/0.py, 1.py, … by their structure, leaves out what FOLDER/given holds,
and prints the N pairs that it ranks first: [[i, j, share, lines of i, lines of j], …]. share: of the letters that
count, those that match, in i or j, whichever is more.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

SECONDS = 900  # that it may take: beyond, our own is taken


def installed() -> bool:
    return importlib.util.find_spec("compare50") is not None


def ranked(sources: Mapping[str, bytes], given: Sequence[bytes], n: int) -> list[tuple] | None:
    """(student, student, share, lines, lines) of the first n pairs; None where it fails."""
    students = sorted(sources)
    with tempfile.TemporaryDirectory(prefix="minilm-") as place:
        folder = Path(place)
        (folder / "given").mkdir()
        for i, source in enumerate(sources[student] for student in students):
            _write(folder / f"{i}.py", source)
        for i, source in enumerate(given):
            _write(folder / "given" / f"{i}.py", source)
        command = [sys.executable, "-P", __file__, place, str(n)]
        try:
            ran = subprocess.run(command, capture_output=True, timeout=SECONDS, check=True)
            found = json.loads(ran.stdout)
            return [(students[i], students[j], share, a, b) for i, j, share, a, b in found]
        except (subprocess.SubprocessError, OSError, ValueError, IndexError, TypeError):
            return None


def _write(path: Path, source: bytes) -> None:
    path.write_text(source.decode("utf-8", "replace"), "utf-8", newline="\n")


# ------------------------------------------------------------------------------------------------- in its own process


def pairs(folder: Path, n: int) -> list[list]:
    """What is printed."""
    import compare50
    from compare50._data import Preprocessor

    how = compare50.passes.structure
    prepare = Preprocessor(how.preprocessors)
    files = sorted(folder.glob("*.py"), key=lambda path: int(path.stem))
    submissions = [compare50.Submission(folder, [path.name], preprocessor=prepare) for path in files]
    names = [f"given/{path.name}" for path in sorted((folder / "given").iterdir())]
    handed = compare50.Submission(folder, names, preprocessor=prepare)
    with compare50.progress_bar("", disable=True):
        scores = compare50.rank(submissions, [], set(handed.files), how, n=n)
        results = compare50.compare(scores, set(handed.files), how)
    return [_pair(result) for result in results]


def _pair(result: Any) -> list:
    sides = []
    for submission in (result.score.sub_a, result.score.sub_b):
        (file,) = submission.files
        text = file.read()
        ignored = _letters(span for span in result.ignored_spans if span.file == file)
        matched = _letters(span for group in result.groups for span in group.spans if span.file == file) - ignored
        begin = [at for at in matched if at - 1 not in matched or text[at - 1] == "\n"]
        lines = sorted({text.count("\n", 0, at) + 1 for at in begin})
        counted = len(text) - len(ignored)
        sides.append((int(file.name.stem), len(matched) / counted if counted else 0.0, lines))
    (i, a, here), (j, b, there) = sorted(sides)
    return [i, j, round(max(a, b), 4), here, there]


def _letters(spans: Iterable[Any]) -> set[int]:
    return {at for span in spans for at in range(span.start, span.end)}


if __name__ == "__main__":
    print(json.dumps(pairs(Path(sys.argv[1]), int(sys.argv[2]))))
