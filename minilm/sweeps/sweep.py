"""A whole sweep in a folder: what is done is kept, what is not is trained, table and pictures fill meanwhile.

    sweep.json   the settings
    table.csv    a row a finished training       curves.csv   what was measured while they trained
    runs/        a folder a training, each a run of `minilm pretrain`, with its result when done
    rows/        Mundito, written once; removed at the end
    tail1/       pictures, of each source        tails.png    of all of them
    text/        the same, where the source is a text

All that is there is a function of the settings, whenever and however often the sweep was killed.
"""

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import minilm
from minilm.cluster import run_on_cluster
from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.lanes import Failed, Job, run_here
from minilm.resources import write_atomically
from minilm.scaling.analysis import Analysis, analyse
from minilm.sweeps import findings, pictures
from minilm.sweeps.config import MUNDITO, Sweep, sweep_of
from minilm.sweeps.points import Planned, planned, recipe_of
from minilm.sweeps.rows import ROWS as ROWS_OF_A_FILE
from minilm.sweeps.rows import Stock
from minilm.sweeps.table import COLUMNS, CURVE, Row, as_csv, curves_of, rows_of
from minilm.sweeps.training import RESULT, changed, result_in, rows_needed, steps_done, text_of, train_point
from minilm.sweeps.worker import train_on_worker
from minilm.training.run import LOCK, held

SWEEP, TABLE, CURVES = "sweep.json", "table.csv", "curves.csv"
RUNS, ROWS, TEXT = "runs", "rows", "text"
FATAL = (ConfigError,)  # what every training would meet
FILES_A_JOB, SECONDS_A_ROW_TOKEN = 8, 12e-6
DRAW_SHARE, DRAW_REPLICAS, REPLICAS = 0.03, 40, 500  # of the time, that pictures may take while it runs


class Running:
    """A sweep in its folder: `results` by name of the training, `failed` ones and why; `run` does what is not done."""

    def __init__(self, sweep: Sweep, folder: Path, progress: Callable[["Running", str], None] = lambda *_: None):
        """progress(self, sentence): called at every tick, with a sentence where there is something to say."""
        self.sweep, self.folder, self.progress = sweep, folder, progress
        vocabulary, self.text = _source(sweep)
        self.plan: list[Planned] = planned(sweep, vocabulary)
        self.results: dict[str, dict[str, Any]] = {}
        self.failed: dict[str, str] = {}
        self._paid, self._jobs, self._began = 0.0, 1, time.monotonic()
        self._drawn_at, self._drawing, self._shown = 0.0, 0.0, 0.0
        self._begun: dict[str, int] = {}

    # --------------------------------------------------------------------------------------------------- in its folder

    @contextlib.contextmanager
    def taken(self, resume: bool) -> Iterator[None]:
        """The folder for this process alone. ConfigError for one with a sweep that is not to be resumed, or is run, or
        with trainings of other settings; then nothing in it has changed."""
        self._check_folder(resume)
        busy = tr("another sweep is writing to {folder}: wait for it, or stop it", folder=self.folder)
        with held(self.folder, busy):
            self._read_results()
            for left in self.folder.rglob(".*.tmp"):  # by one that was killed
                left.unlink(missing_ok=True)
            write_atomically(self.folder / SWEEP, json.dumps(self.sweep.as_json(), indent=1) + "\n")
            yield

    def _check_folder(self, resume: bool) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                tr("{folder} could not be made ({reason})", folder=self.folder, reason=error.strerror or error)
            ) from error
        foreign = [path.name for path in self.folder.iterdir() if path.name != LOCK and path.name[0] != "."]
        if (self.folder / SWEEP).exists() and not resume:
            raise ConfigError(
                tr("{folder} already holds a sweep: go on with --resume, or choose another --out", folder=self.folder)
            )
        if foreign and not (self.folder / SWEEP).exists():
            raise ConfigError(
                tr("{folder} already holds {name}: choose another name", folder=self.folder, name=sorted(foreign)[0])
            )

    def _read_results(self) -> None:
        for one in self.plan:
            found = result_in(self.place(one), one.point)
            if found is None:
                continue
            if found.get("text") != self.text:
                raise changed(self.folder, self.sweep.source.data)
            self.results[one.point.name] = found

    def place(self, one: Planned) -> Path:
        return self.folder / RUNS / one.point.name

    # --------------------------------------------------------------------------------------------------------- running

    def run(self, jobs: int, scheduler: str | None = None) -> None:
        """Train what is not done. A training that fails is told at the end; the others go on."""
        self.write_tables()
        self._jobs, self._began = jobs, time.monotonic()
        self._drawn_at = self._began
        self._begun = {one.point.name: steps_done(self.place(one)) for one in self.open}
        work = self._work(scheduler is not None)
        done = run_here(work, jobs, FATAL) if scheduler is None else run_on_cluster(work, scheduler, FATAL)
        with contextlib.closing(done):
            for found in done:
                if found is None:
                    self.progress(self, "")
                else:
                    self._take(*found)
        if not self.failed:
            shutil.rmtree(self.folder / ROWS, ignore_errors=True)

    @property
    def open(self) -> list[Planned]:
        """The trainings that are not done."""
        return [one for one in self.plan if one.point.name not in self.results]

    def _work(self, on_cluster: bool) -> Iterator[Job]:
        """Seed by seed: first the rows that its trainings read, then these. A cluster's workers write their own."""
        for seed in range(self.sweep.training.seeds):
            some = [one for one in self.open if one.point.seed == seed]
            if not on_cluster:
                yield from self._rows(some)
            for one in some:
                call: tuple[Any, tuple] = (train_point, (one.point, self.place(one), self.folder / ROWS))
                if on_cluster:
                    call = (train_on_worker, (one.point, minilm.__version__, self.text))
                yield Job(one.point.name, *call, one.point.cost)

    def _rows(self, some: Sequence[Planned]) -> Iterator[Job]:
        needed: dict[Stock, int] = {}
        for one in some:
            p = one.point
            if p.world is None:
                continue
            for part, rows in rows_needed(p).items():
                stock = Stock(self.folder / ROWS, p.world, p.recipe.context, p.seed, part)
                needed[stock] = max(rows, needed.get(stock, 0))
        for stock, rows in needed.items():
            missing = stock.missing(rows)
            for first in range(0, len(missing), FILES_A_JOB):
                numbers = missing[first : first + FILES_A_JOB]
                cost = SECONDS_A_ROW_TOKEN * len(numbers) * ROWS_OF_A_FILE * stock.context
                yield Job(f"{ROWS}/{stock.part}-{numbers[0]}", make_rows, (stock, numbers), cost)

    def _take(self, job: Job, found: Any) -> None:
        """What has come of a job: kept, told, and seen in the table."""
        self._paid += job.cost
        if isinstance(found, Failed):
            if job.function is not make_rows:  # the trainings make those that are missing
                self.failed[job.name] = found.why
            self.progress(self, tr("{name} failed: {why}", name=job.name, why=found.why))
        elif found is not None:
            self.results[job.name] = found
            if job.function is train_on_worker:
                write_atomically(self.folder / RUNS / job.name / RESULT, json.dumps(found, indent=1) + "\n")
            self.write_tables()
            self.progress(self, _said(job.name, found))
            self._draw_now_and_then()

    # ------------------------------------------------------------------------------------------------- what is seen

    def share_done(self) -> float:
        """The part of all trainings' cost that is done, those under way among it; it never falls."""
        total = sum(one.point.cost for one in self.plan)
        done = sum(one.point.cost for one in self.plan if one.point.name in self.results)
        self._shown = max(self._shown, min(1.0, (done + sum(map(self._under_way, self.open))) / total))
        return self._shown

    def _under_way(self, one: Planned) -> float:
        """The part of its cost that is paid."""
        return one.point.cost * min(1.0, steps_done(self.place(one)) / one.point.recipe.steps)

    def seconds_left(self) -> float:
        """By the costs of what is left, and how long those of what was done took."""
        left = [one for one in self.open if one.point.name not in self.failed]
        begun = sum(
            one.point.cost * self._begun[one.point.name] / one.point.recipe.steps
            for one in self.plan
            if one.point.name in self._begun
        )
        partly = sum(map(self._under_way, left))
        paid = max(0.0, self._paid + partly - begun)
        elapsed = time.monotonic() - self._began
        pace = elapsed / paid if paid > 5 and elapsed > 5 else 1 / self._jobs
        return max(0.0, sum(one.point.cost for one in left) - partly) * pace

    @property
    def rows(self) -> list[Row]:
        return rows_of(self.plan, self.results)

    def write_tables(self) -> None:
        """The rows so far."""
        rows = self.rows
        write_atomically(self.folder / TABLE, as_csv(rows, COLUMNS))
        write_atomically(self.folder / CURVES, as_csv(curves_of(rows, self.results), CURVE))

    @property
    def sources(self) -> dict[str, list[Row]]:
        """The rows of each source, by the name of its folder."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            name = TEXT if row["tail"] is None else f"tail{row['tail']:g}"
            found.setdefault(name, []).append(row)
        return found

    def draw(self, replicas: int = REPLICAS) -> tuple[dict[str, Analysis], list[Path]]:
        """Fit what can be fitted, source by source, and draw it."""
        found, tails, drawn = {}, {}, []
        curves = curves_of(self.rows, self.results)
        for name, rows in self.sources.items():
            own = {row["run"] for row in rows}
            parts = findings.parts_of(rows, [row for row in curves if row["run"] in own], self.plan)
            found[name] = analyse(parts, np.random.default_rng(0), replicas)
            title = self.sweep.title if name == TEXT else f"{self.sweep.title}, {name}"
            drawn += pictures.draw(self.folder / name, title, found[name], rows)
            if rows[0]["tail"] is not None:
                tails[rows[0]["tail"]] = found[name]
        if len(tails) > 1:
            drawn.append(pictures.tails(self.folder / "tails.png", tails, self.sweep.title))
        return found, drawn

    def _draw_now_and_then(self) -> None:
        now = time.monotonic()
        if now - self._drawn_at < max(20.0, self._drawing / DRAW_SHARE) or not self.open:
            return
        self.draw(DRAW_REPLICAS)
        self._drawn_at, self._drawing = time.monotonic(), time.monotonic() - now


def make_rows(stock: Stock, numbers: Sequence[int]) -> None:
    """In another process: files of rows."""
    for number in numbers:
        if not stock.file(number).exists():
            stock.make(number)


def _source(sweep: Sweep) -> tuple[int, dict[str, Any] | None]:
    """How many tokens its tokenizer knows, and what identifies a text."""
    from minilm.mundito import Mundito, MunditoConfig
    from minilm.pretraining.sources import TextSource

    if sweep.source.data == MUNDITO:
        return Mundito(MunditoConfig(sweep.source.language)).vocab_size, None
    text = TextSource.new(sweep.source.data, recipe_of(sweep, 4, 1, 1))
    return text.tokenizer.vocab_size, text_of(text)


def _said(name: str, found: dict[str, Any]) -> str:
    loss = f"{found['loss']:.4f}"
    if "excess" not in found:
        return tr("{name}: loss {loss}", name=name, loss=loss)
    return tr("{name}: loss {loss}, excess {excess} ± {error}", name=name, loss=loss, excess=f"{found['excess']:.4f}",
              error=f"{found['excess_se']:.4f}")  # fmt: skip


def stored_sweep(folder: Path) -> Sweep:
    """The sweep that is in a folder. ConfigError where there is none."""
    try:
        settings = json.loads((folder / SWEEP).read_bytes())
        if not isinstance(settings, dict):
            raise ValueError
    except FileNotFoundError as error:
        raise ConfigError(tr("there is no sweep in {folder}: leave out --resume", folder=folder)) from error
    except ValueError as error:
        raise ConfigError(tr("{file} is damaged: give the sweep's name or file too", file=folder / SWEEP)) from error
    return sweep_of(settings, str(folder / SWEEP))
