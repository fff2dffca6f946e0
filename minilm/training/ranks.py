"""One training in several processes, on one machine or on many: each takes its share of every batch.

All of these processes, the ranks, hold the same weights. A rank computes what its share adds to the gradient of the
whole batch's mean, Σ over the share / counts of the whole batch (objectives.py). So one all-reduce of the flat gradient
a step, a sum over the ranks that every rank receives, is the very gradient of the whole batch, and all take the same
step with it. Rank 0 alone writes, and speaks.

`ALONE` is a training without MPI. `Ranks()` is one of the processes that `mpirun -n 4` started, through mpi4py.
"""

import contextlib
import hashlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NoReturn

from minilm import backend
from minilm.cores import allowed_cpus
from minilm.errors import ConfigError, MinilmError, TrainingError
from minilm.i18n import tr
from minilm.training.interrupt import Interrupted
from minilm.training.last_words import said_of, unless_left
from minilm.training.parallel import Batch, batch_size, split

PATIENCE = 600.0  # seconds that a rank waits for the others before it takes one of them for lost
HEAD_START = 2.0  # seconds
STARTED = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")  # where mpirun or srun says how many it started

Explain = Callable[[BaseException], str | None]


def explain_ours(error: BaseException) -> str | None:
    """The sentence of an error of ours; None for another."""
    return str(error) if isinstance(error, MinilmError) else None


class Alone:
    """What the trainer asks of the ranks, and the answers where there is but one.

    rank, size: which of how many this is. gpu: which of its machine's GPUs is its own; None: whichever CuPy takes.
    here: how many ranks this machine has. sharing: with how many a rank shares its cores, itself among them.
    """

    rank, size, here, sharing = 0, 1, 1, 1
    gpu: int | None = None

    def share(self, batches: Any, step: int, objective: Any) -> tuple[Batch, dict[str, int], int]:
        """This rank's part of a step's batch; of the whole batch the counts, and how many sequences it has."""
        batch = batches.at(step)
        return batch, objective.counts(batch), batch_size(batch)

    def part_of(self, batches: Sequence[Batch]) -> Sequence[Batch]:
        """This rank's part of what the model is evaluated on."""
        return batches

    def add_gradients(self, flat: Any) -> None:
        """Make the flat gradients, an array of the backend, the sum of those of all ranks."""

    def add(self, numbers: dict[str, float]) -> dict[str, float]:
        """Each number summed over the ranks; one that a rank does not name is 0 there."""
        return numbers

    def any(self, flag: bool) -> bool:
        """Whether it is so on any rank: the same answer on each."""
        return flag

    def before(self, number: int) -> int:
        """The sum of the numbers of the ranks before this one."""
        return 0

    def from_first(self, value: Any) -> Any:
        """What rank 0 gives; what the others give is not looked at."""
        return value

    def check_alike(self, weights: Any) -> None:
        """Raise a TrainingError on each rank when the ranks' weights are not the same bits. No rank goes on before all
        have come here."""

    def resume_command(self, run: Any) -> str:
        """The command that goes on with a run."""
        return run.resume_command

    def watched(self, run: Any) -> AbstractContextManager:
        """For the time of a training: that a lost rank ends it, and how to go on is said."""
        return contextlib.nullcontext()

    def together(self, explain: Explain = explain_ours) -> AbstractContextManager:
        """For all that ranks do: an error of one ends them all, and is told once, in the sentence that `explain` finds
        for it or as it is."""
        return contextlib.nullcontext()


ALONE = Alone()


class Ranks(Alone):
    """One of the processes that mpirun started.

    patience: seconds without a word from the others after which a rank ends the whole training.
    ConfigError where mpi4py or MPI is not installed, and where mpirun is that of another MPI.
    """

    def __init__(self, patience: float | None = None):
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:
            raise ConfigError(
                tr("--mpi needs mpi4py and an MPI ({problem}): pip install 'minilm[mpi]', and the package mpich or "
                   "your cluster's own MPI", problem=str(error).split("\n")[0])
            ) from error  # fmt: skip
        self._mpi, self._all = MPI, MPI.COMM_WORLD
        self.rank, self.size = self._all.Get_rank(), self._all.Get_size()
        self._check_started()
        machine = self._all.Split_type(MPI.COMM_TYPE_SHARED)
        self.gpu, self.here = machine.Get_rank(), machine.Get_size()
        mine = allowed_cpus()
        self.sharing = sum(bool(mine & theirs) for theirs in machine.allgather(mine))
        self.patience = patience or float(os.environ.get("MINILM_MPI_PATIENCE", PATIENCE))
        self._deadline: float | None = None
        self._last_words: tuple[str, str, str] | None = None  # of the training that is going on: see last_words.py

    def _check_started(self) -> None:
        """Processes whose mpirun is another MPI's than mpi4py's would each train the whole model by itself."""
        started = max(int(os.environ.get(name, 1)) for name in STARTED)
        if self.size == 1 < started:
            raise ConfigError(
                tr("{n} processes were started, and each finds itself alone: their mpirun is not that of the MPI which "
                   "mpi4py uses ({library}); start them with that one's", n=started,
                   library=self._mpi.Get_library_version().split("\n")[0].strip("\0 "))
            )  # fmt: skip

    # ------------------------------------------------------------------------------------------------- a step's parts

    def share(self, batches: Any, step: int, objective: Any) -> tuple[Batch, dict[str, int], int]:
        """Rows n i/k to n (i + 1)/k of n, for rank i of k. A source whose rows cost time has `share(step, i, k)`, which
        makes those alone; of any other the whole batch is cut."""
        if not hasattr(batches, "share"):
            batch = batches.at(step)
            self._check_enough(batch_size(batch))
            return split(batch, self.size)[self.rank], objective.counts(batch), batch_size(batch)
        self._check_enough(batches.batch_size)
        mine = batches.share(step, self.rank, self.size)
        whole = self.add({**objective.counts(mine), " rows": batch_size(mine)})
        size = int(whole.pop(" rows"))
        return mine, {name: int(count) for name, count in whole.items()}, size

    def _check_enough(self, sequences: int) -> None:
        if sequences < self.size:
            raise ConfigError(
                tr("a batch has {n} sequences for {ranks} ranks: choose a larger --batch, or start fewer ranks",
                   n=sequences, ranks=self.size)
            )  # fmt: skip

    def part_of(self, batches: Sequence[Batch]) -> Sequence[Batch]:
        return batches[self.rank :: self.size]

    # ------------------------------------------------------------------------------------------- what ranks exchange

    def add_gradients(self, flat: Any) -> None:
        host = backend.to_numpy(flat)  # the same memory with NumPy; from a GPU they go by way of the host
        with self._patient():
            self._all.Allreduce(self._mpi.IN_PLACE, host)
        if not backend.is_numpy():
            flat[...] = backend.asarray(host)

    def add(self, numbers: dict[str, float]) -> dict[str, float]:
        found = self._of_all(numbers)
        names = dict.fromkeys(name for one in found for name in one)
        return {name: sum(one.get(name, 0) for one in found) for name in names}  # in the same order on each rank

    def any(self, flag: bool) -> bool:
        return any(self._of_all(flag))

    def before(self, number: int) -> int:
        return sum(self._of_all(number)[: self.rank])

    def from_first(self, value: Any) -> Any:
        with self._patient():
            return self._all.bcast(value)

    def _of_all(self, value: Any) -> list[Any]:
        with self._patient():
            return self._all.allgather(value)

    def check_alike(self, weights: Any) -> None:
        found = self._of_all(hashlib.sha256(backend.to_numpy(weights).data).hexdigest())
        others = [str(i) for i, digest in enumerate(found) if digest != found[0]]
        if others:
            raise TrainingError(
                tr("the weights of rank {ranks} are not those of rank 0: its machine computes otherwise; take machines "
                   "of one kind, with the same minilm and NumPy", ranks=", ".join(others))
            )  # fmt: skip

    # --------------------------------------------------------------------------------------------- when a rank is lost

    def resume_command(self, run: Any) -> str:
        return f"mpirun -n {self.size} {run.resume_command} --mpi"

    @contextlib.contextmanager
    def watched(self, run: Any) -> Iterator[None]:
        """A rank that dies is noticed by mpirun, which ends the others (see last_words.py); one that hangs, only by
        those that wait for it."""
        finished, words = threading.Event(), self._how_to_go_on(run)
        self._last_words = words
        threading.Thread(target=self._watch, args=(finished,), daemon=True).start()
        with unless_left(*words) if self.rank == 0 else contextlib.nullcontext():
            try:
                yield
            finally:
                finished.set()

    def _how_to_go_on(self, run: Any) -> tuple[str, str, str]:
        if run is None:
            return tr("a process of this training ended, and with it the training; nothing was saved"), "", ""
        sentence = tr("a process of this training ended, and with it the training; go on from {checkpoint} with "
                      "`{command}`", checkpoint="CHECKPOINT", command=self.resume_command(run))  # fmt: skip
        return sentence, str(run.checkpoints), tr("its beginning")

    @contextlib.contextmanager
    def _patient(self) -> Iterator[None]:
        self._deadline = time.monotonic() + self.patience
        try:
            yield
        finally:
            self._deadline = None

    def _watch(self, finished: threading.Event) -> None:
        while not finished.wait(min(1.0, self.patience / 4)):
            deadline = self._deadline
            if deadline is not None and time.monotonic() > deadline:
                self._abort(tr("no word from the other ranks for {seconds:.0f} s", seconds=self.patience), True)

    @contextlib.contextmanager
    def together(self, explain: Explain = explain_ours) -> Iterator[None]:
        try:
            yield
        except Interrupted:  # which all agreed on, and rank 0 says
            if self.rank:
                raise SystemExit(Interrupted.exit_status) from None
            raise
        except (Exception, KeyboardInterrupt) as error:
            if self.rank:
                time.sleep(HEAD_START)  # most errors come to all ranks alike: then rank 0 ends them before this
            said = None if os.environ.get("MINILM_DEBUG") else explain(error)
            self._abort(said or "".join(traceback.format_exception(error)), how_to_go_on=self.rank > 0)

    def _abort(self, said: str, how_to_go_on: bool) -> NoReturn:
        """Say why, and end every rank: at once, so that nobody beside rank 0 is heard any more."""
        who = "" if self.rank == 0 else tr("rank {rank}: ", rank=self.rank)
        try:
            print(f"minilm: {who}{said}", file=sys.stderr)
            if how_to_go_on and self._last_words:
                print("minilm:", said_of(*self._last_words), file=sys.stderr)
            sys.stderr.flush()
        finally:
            self._all.Abort(1)
            os._exit(1)
