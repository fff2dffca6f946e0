"""What an instructor gives out: the student's file, as a script and as a notebook, the runtime, and a README."""

from dataclasses import dataclass
from pathlib import Path

from minilm.course.banks import About
from minilm.errors import ConfigError, DataError
from minilm.homework.assignment import Asked, asked_of
from minilm.homework.runtime import build_wheel, wheel_name
from minilm.homework.stripping import student_source
from minilm.i18n import speaking, tr
from minilm.resources import write_atomically

LANGUAGES = ("en", "es")


@dataclass(frozen=True)
class Released:
    """The files that were written, and the tasks in them."""

    paths: list[Path]
    tasks: list[Asked]


def release(about: About, out: Path, language: str = "en", force: bool = False) -> Released:
    """Write a lesson's homework into a folder, its README in the language.

    Errors: DataError where a file is already, unless force; ConfigError for another language, or without jupytext.
    """
    if language not in LANGUAGES:
        raise ConfigError(tr("language is {got!r}; there are {known}", got=language, known=", ".join(LANGUAGES)))
    tasks = asked_of(about)
    with speaking(language):
        source = student_source(about)
        contents: dict[str, str | bytes] = {
            f"{about.short}.py": source,
            f"{about.short}.ipynb": notebook(source),
            "README.md": readme(about, tasks),
        }
    contents[wheel_name(about)] = build_wheel(about)
    there = [name for name in contents if (out / name).exists()]
    if there and not force:
        raise DataError(
            tr("{path} is there already; choose another folder with --out, or --force to write over it",
               path=out / there[0])
        )  # fmt: skip
    for name, content in contents.items():
        write_atomically(out / name, content)
    return Released([out / name for name in contents], tasks)


def notebook(source: str) -> str:
    """The script of cells as a notebook, by jupytext."""
    try:
        import jupytext
    except ImportError as error:
        raise ConfigError(
            tr("a notebook is made by jupytext, which is not installed: pip install 'minilm[notebook]'")
        ) from error
    made = jupytext.reads(source, fmt="py:percent")
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for number, cell in enumerate(made.cells):
        cell["id"] = f"cell-{number}"  # otherwise random: the same lesson gives the same notebook
    return jupytext.writes(made, fmt="ipynb")


# ---------------------------------------------------------------------------------------------------------- the README


def readme(about: About, tasks: list[Asked]) -> str:
    """What to do, how to check and to hand in, and what counts how much."""
    file, wheel = f"{about.short}.py", wheel_name(about)
    total = sum(task.points for task in tasks)
    parts = [
        tr("# Homework {lesson}: {title}", lesson=about.short, title=about.title),
        tr(
            "In `{file}` there are {n} functions to write, for {points:g} points in all. `{notebook}` is the same as a "
            "notebook: work in whichever you like, and hand in one of them.",
            file=file, n=sum(not task.worked for task in tasks), points=total, notebook=f"{about.short}.ipynb",
        ),
        tr("## 1. Install"),
        tr(
            "The homework comes with its own minilm, `{wheel}`, from which the answers were taken out. Install it in "
            "an environment of its own, so that it replaces no other minilm:",
            wheel=wheel,
        ),
        f"```sh\npython -m venv homework\n. homework/bin/activate    # Windows: homework\\Scripts\\activate\n"
        f"pip install ./{wheel}\n```",
        tr("## 2. Write"),
        _table(tasks),
        tr(
            "Each function says in its text what it gets and what it returns. Floating arrays arrive as Tensors of "
            "minilm, so that gradients flow through what you write; in the functions marked NumPy they are arrays. "
            "Numbers, texts and booleans arrive as they are. Use NumPy, the standard library and this minilm."
        ),
        _rules(about),
        tr("## 3. Check"),
        f"```sh\nminilm homework check {file}\nminilm homework check {file} --task {_first(tasks).number}\n```",
        tr(
            "It tries the properties that count when the homework is graded, on other numbers, and says of each that "
            "fails where it fails, on the smallest example that it finds. It speaks the language of your system; "
            "`MINILM_LANG=en` or `MINILM_LANG=es` before the command chooses another."
        ),
        tr("## 4. Hand in"),
        f"```sh\nminilm homework pack {file}\n```",
        tr(
            "This imports the file, says what is still unsolved, and makes `{zip}`. Hand in that zip, or the file "
            "itself.",
            zip=f"{about.short}.zip",
        ),
        tr("## What counts"),
        tr(
            "A broken task costs its own points only: the tasks that use it are tried with the right answer in its "
            "place. What is unsolved, raises or takes too long gives none. A file that cannot be imported gives none "
            "at all, which is why pack imports it. It has to stand alone: files beside it are not handed in."
        ),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(tasks: list[Asked]) -> str:
    head = [tr("task"), tr("function"), tr("points"), tr("what")]
    rows = [head, ["---", "---", "---:", "---"]]
    for task in tasks:
        points = tr("example") if task.worked else f"{task.points:g}"
        what = f"{task.summary} (NumPy)" if task.plain else task.summary
        rows.append([task.number, f"`{task.name}`", points, what.replace("|", "\\|")])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _rules(about: About) -> str:
    """What of minilm is not to be had in this homework, since it is what the tasks ask for."""
    names = [name for table in (about.withheld, about.guarded) for listed in table.values() for name in listed]
    if not names:
        return ""
    return tr(
        "Not to be had in this homework, because they are what the tasks ask for: {names}. To call one is an error.",
        names=", ".join(f"`{name}`" for name in names),
    )


def _first(tasks: list[Asked]) -> Asked:
    return next((task for task in tasks if not task.worked), tasks[0])
