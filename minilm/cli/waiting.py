"""What is seen while something takes long: a bar on stderr where that is a terminal; elsewhere nothing moves."""

import contextlib
import sys
from collections.abc import Callable, Iterator

import typer


def say(sentence: str) -> None:
    """A notice on stderr, so that what a command makes stands alone on stdout."""
    typer.echo(f"minilm: {sentence}", err=True)


@contextlib.contextmanager
def bars() -> Iterator[Callable[[str], Callable[[int, int], None] | None]]:
    """`with bars() as bar: work(bar("reading"))`; work calls progress(done, all). It is None without a terminal."""
    if not sys.stderr.isatty():
        yield lambda what: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:

        def bar(what: str) -> Callable[[int, int], None]:
            task = shown.add_task(what, total=None, visible=False)
            return lambda done, total: shown.update(task, completed=done, total=total, visible=done < total)

        yield bar
