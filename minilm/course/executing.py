"""Running a lesson's script in a process of its own, cell by cell: `python -m minilm.course.executing l03 …`."""

import argparse
import json
import os
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minilm.course.banks import About, find_lesson
from minilm.course.cells import Cell, read_cells, without
from minilm.course.tex import readable
from minilm.errors import MinilmError
from minilm.i18n import tr
from minilm.resources import cache_folder

WIDTH = 100  # of prose, on a terminal that is wider
FENCED = "```python\n{source}\n```"


@dataclass(frozen=True)
class Ran:
    """How a lesson's run ended. claims: how many hold and how many there are, None where it did not get to them."""

    about: About
    status: int
    seconds: float
    claims: tuple[int, int] | None
    again: bool = True  # False: it was taken over from an earlier run


def run_lesson(about: About, out: Path, prose: bool = False, step: bool = False) -> Ran:
    """Run a lesson in a fresh process, which speaks for itself."""
    record = out / "claims.json"
    record.unlink(missing_ok=True)
    command = [sys.executable, "-m", "minilm.course.executing", str(about.folder.resolve()), "--out", str(out)]
    command += ["--prose"] * prose + ["--step"] * step
    keep_notes_away()
    environment = {"MPLBACKEND": "agg", "PYTHONUNBUFFERED": "1", **os.environ}
    start = time.perf_counter()
    status = subprocess.run(command, env=environment, check=False).returncode
    return Ran(about, status, time.perf_counter() - start, _claims(record))


def earlier(about: About, out: Path) -> Ran | None:
    """A run of the same files, by the same minilm, in which every claim held; else None."""
    from minilm.course.session import digest

    claims = _claims(out / "claims.json")
    if claims is None or claims[0] != claims[1]:
        return None
    record = json.loads((out / "claims.json").read_text("utf-8"))
    same = record.get("digest") == digest(about.folder)
    return Ran(about, 0, record.get("seconds", 0.0), claims, again=False) if same else None


def _claims(record: Path) -> tuple[int, int] | None:
    try:
        claims = json.loads(record.read_text("utf-8"))["claims"]
        return sum(claim["holds"] is True for claim in claims), len(claims)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep_notes_away() -> None:
    """Hypothesis's notes, such as tables of Unicode, go to our cache instead of the folder where the learner works."""
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(cache_folder() / "hypothesis"))


# -------------------------------------------------------------------------------------------------- in the new process


def main(args: Sequence[str] | None = None) -> int:
    """Execute the cells one after another. Exit status: 0; 1 after an error, which has been printed; 130 for Ctrl-C."""
    parser = argparse.ArgumentParser()
    parser.add_argument("lesson")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--prose", action="store_true")
    parser.add_argument("--step", action="store_true")
    options = parser.parse_args(args)

    from minilm.course import session

    session.RUN.out, session.RUN.step = options.out, options.step
    path = find_lesson(options.lesson).folder / "lesson.py"
    try:
        execute(path, options.prose, options.step)
    except KeyboardInterrupt:  # of which the one who started this process speaks
        return 130
    except EOFError:
        print(tr("minilm: there is nobody to answer: leave out --step"), file=sys.stderr)
        return 1
    except MinilmError as error:
        where = traceback.extract_tb(error.__traceback__)
        line = next((frame.lineno for frame in reversed(where) if frame.filename == str(path)), None)
        print(tr("{path}, line {line}: {what}", path=path, line=line, what=error), file=sys.stderr)
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def execute(path: Path, prose: bool = False, step: bool = False) -> dict[str, Any]:
    """Run a script's cells in one namespace, with its prose or at least its headings; the namespace at the end."""
    namespace: dict[str, Any] = {"__name__": "__main__", "__file__": str(path)}
    for cell in read_cells(path):
        if cell.prose is not None:
            show_prose(cell, prose)
            if step and prose:
                input(tr("Enter goes on") + " ")
            continue
        if prose:
            show_code(without(cell.source, "ask", "answer", "said"))
        # The empty lines before it put the code where it stands in the file, for tracebacks and inspect.getsource.
        code = compile("\n" * (cell.line - 1) + cell.source, str(path), "exec")
        exec(code, namespace)
        sys.stdout.flush()
    return namespace


def show_prose(cell: Cell, whole: bool) -> None:
    """The Markdown, drawn on a terminal and as it is elsewhere; or its heading alone."""
    if not whole:
        if cell.heading:
            print(f"\n{cell.heading}\n{'-' * len(cell.heading)}")
        return
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown

        console = Console()
        console.print()
        console.print(Markdown(readable(cell.prose or "")), width=min(console.width, WIDTH))
    else:
        print(f"\n{cell.prose}\n")


def show_code(source: str) -> None:
    """Code before it runs, if there is any to show."""
    from minilm.course.session import say_code

    source = re.sub(r"\n{3,}", "\n\n", source.replace("  # fmt: skip", ""))
    if not source:
        return
    if sys.stdout.isatty():
        print()
        say_code(source)
    else:
        print(FENCED.format(source=source))


if __name__ == "__main__":
    sys.exit(main())
