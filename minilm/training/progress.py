"""What is seen of a training while it runs: a live bar on a terminal, plain lines elsewhere."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from minilm.i18n import tr

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


class TrainingDisplay:
    """`with TrainingDisplay(steps, start) as display:`; `display.update(record, seconds_left)` after each step."""

    _bar: "Progress | None" = None  # on a terminal

    def __init__(self, steps: int, start: int = 0, show: bool = True, console: "Console | None" = None):
        """steps: the last step; start: the step that the training goes on from; show=False: not a word."""
        self.steps, self.show = steps, show
        if not show:
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self.console = console or Console()
        if self.console.is_terminal:
            self._bar = Progress(TextColumn("{task.description}"), BarColumn(), console=self.console)
            self._task = self._bar.add_task("", total=steps, completed=start)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, record: Mapping[str, Any], seconds_left: float, logged: bool) -> None:
        """Show a step. On a terminal every step moves the bar; elsewhere only logged ones make a line."""
        if self._bar:
            self._bar.update(self._task, completed=record["step"], description=self._line(record, seconds_left))
        if logged and (self._bar is None or "validation_loss" in record):
            self.say(self._line(record, seconds_left))

    def say(self, text: str) -> None:
        """A line of its own, above the bar where there is one."""
        if not self.show:
            return
        if self._bar:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=self.console.file, flush=True)  # rich would break lines at 80 columns

    def _line(self, record: Mapping[str, Any], seconds_left: float) -> str:
        line = tr(
            "step {step}/{steps}  loss {loss}  {speed} tokens/s  {left} left",
            step=record["step"],
            steps=self.steps,
            loss=f"{record['loss']:.4f}",
            speed=f"{record['tokens_per_second']:,.0f}",
            left=duration(seconds_left),
        )
        line += _parts_of_loss(record, "")
        if "validation_loss" in record:
            line += "  " + tr("validation {loss}", loss=f"{record['validation_loss']:.4f}")
            line += _parts_of_loss(record, "validation_")
        return line


def _parts_of_loss(record: Mapping[str, Any], prefix: str) -> str:
    """The excess over a known source; BERT's two losses apart, each with the part that was guessed right; nothing where
    a record has none."""
    parts = ""
    if f"{prefix}excess_se" in record:
        excess, error = record[f"{prefix}excess"], record[f"{prefix}excess_se"]
        parts += "  " + tr("excess {excess} ± {error}", excess=f"{excess:.4f}", error=f"{error:.4f}")
    if f"{prefix}mlm_loss" in record:
        loss, right = record[f"{prefix}mlm_loss"], record[f"{prefix}mlm_accuracy"]
        parts += "  " + tr("masked words {loss} ({right} right)", loss=f"{loss:.4f}", right=f"{right:.1%}")
    if f"{prefix}nsp_loss" in record:
        loss, right = record[f"{prefix}nsp_loss"], record[f"{prefix}nsp_accuracy"]
        parts += "  " + tr("next sentence {loss} ({right} right)", loss=f"{loss:.4f}", right=f"{right:.1%}")
    return parts


def duration(seconds: float) -> str:
    """3:07, or 1:02:03 from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
