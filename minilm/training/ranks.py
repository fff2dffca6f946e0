"""One training on several processes, on one machine or many: each rank takes its share of every batch.

All ranks hold the same weights. After its backward a rank has its share's part of the gradient of the whole batch's
mean (the counts are those of the whole batch, see objectives.py), so one all-reduce of the flat gradient, a sum, gives
every rank the same gradient, and each takes the same step. Rank 0 alone writes, and speaks.

`Alone()` is a training without MPI. `Ranks()` is one of the processes that `mpirun -n 4` started, through mpi4py.
"""

import contextlib
import hashlib
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NoReturn

from minilm import backend
from minilm.errors import ConfigError, MinilmError, TrainingError
from minilm.i18n import tr
from minilm.training import last_words
from minilm.training.interrupt import Interrupted
from minilm.training.parallel import Batch, batch_size, split

HEAD_START = 2.0  # seconds
PATIENCE = 600.0  # seconds that a rank waits for the others before it takes one of them for lost


class Alone:
    """A training in one process: what the trainer asks of its ranks when there are no others."""

    rank, size, on_this_machine = 0, 1, 1

    def take_device(self) -> None:
        """Compute on the device that is this rank's."""

    def share(self, batches: Any, step: int, objective: Any) -> tuple[Batch, dict[str, int], int]:
        """This rank's part of a step's batch, the counts of the whole batch, and how many sequences that has."""
        batch = batches.at(step)
        return batch, objective.counts(batch), batch_size(batch)

    def part_of(self, batches: Sequence[Batch]) -> Sequence[Batch]:
        """This rank's part of what the model is evaluated on."""
        return batches

    def add_gradients(self, flat: Any) -> None:
        """Add the gradients of all ranks into each one's, an array (size,) on whatever device computes."""

    def add(self, numbers: dict[str, float]) -> dict[str, float]:
        """Each number summed over the ranks; one that a rank does not name is 0 there."""
        return numbers

    def from_first(self, value: Any) -> Any:
        """What rank 0 gives; the others' value is not looked at."""
        return value

    def check_alike(self, weights: Any) -> None:
        """Raise a TrainingError when the ranks' weights are no longer the same bits."""

    def wait(self) -> None:
        """Until every rank has come here."""

    def watched(self, run: Any) -> AbstractContextManager:
        """For the time of a training: what is to be said when a rank dies."""
        return contextlib.nullcontext()

    def together(self) -> AbstractContextManager:
        """For all that the ranks do: an error of one ends them all, and is told once."""
        return contextlib.nullcontext()


ALONE = Alone()


class Ranks(Alone):
    """The processes that mpirun started.

    patience: seconds without a word from the others after which the whole training is ended (MPI_Abort); what is lost
    is what came after the last checkpoint. With CuPy rank i of a machine computes on its i-th GPU.
    ConfigError where mpi4py or MPI itself is not installed.
    """

    def __init__(self, patience: float | None = None):
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:
            raise ConfigError(
                tr("--mpi needs MPI and mpi4py ({problem}): pip install 'minilm[mpi]', and an MPI such as the package "
                   "mpich, or your cluster's own", problem=str(error).split("\n")[0])
            ) from error  # fmt: skip
        self._mpi, self._all = MPI, MPI.COMM_WORLD
        self.rank, self.size = self._all.Get_rank(), self._all.Get_size()
        here = self._all.Split_type(MPI.COMM_TYPE_SHARED)
        self.on_this_machine, self._place = here.Get_size(), here.Get_rank()
        self.patience = patience or float(os.environ.get("MINILM_MPI_PATIENCE", PATIENCE))
        self._deadline: float | None = None
        self._words: tuple[str, str, str] | None = (
            None  # of a training: its checkpoints, what to say, if there are none
        )

    def take_device(self) -> None:
        """With CuPy: the GPU of this rank, one after another; more ranks than GPUs share them."""
        if backend.name() == "cupy":
            import cupy

            cupy.cuda.Device(self._place % cupy.cuda.runtime.getDeviceCount()).use()

    # ------------------------------------------------------------------------------------------------- a step's parts

    def share(self, batches: Any, step: int, objective: Any) -> tuple[Batch, dict[str, int], int]:
        """Rows n·i/k to n·(i+1)/k for rank i of k, in order. `batches.share(step, i, k)` makes those alone, where there
        is such a method, for a source whose rows cost time; else the whole batch is made and cut."""
        if not hasattr(batches, "share"):
            batch = batches.at(step)
            parts = split(batch, self.size)
            self._check_enough(len(parts))
            return parts[self.rank], objective.counts(batch), batch_size(batch)
        self._check_enough(batches.batch_size)
        mine = batches.share(step, self.rank, self.size)
        found = self.add({**objective.counts(mine), " rows": batch_size(mine)})
        size = int(found.pop(" rows"))
        return mine, {name: int(count) for name, count in found.items()}, size

    def _check_enough(self, sequences: int) -> None:
        if sequences < self.size:
            raise ConfigError(
                tr("a batch has {n} sequences for {ranks} ranks: choose a larger --batch, or start fewer with mpirun",
                   n=sequences, ranks=self.size)
            )  # fmt: skip

    def part_of(self, batches: Sequence[Batch]) -> Sequence[Batch]:
        return batches[self.rank :: self.size]

    # ------------------------------------------------------------------------------------------------ what is summed

    def add_gradients(self, flat: Any) -> None:
        host = backend.to_numpy(flat)  # the same memory with NumPy; from a GPU it goes through the host
        with self._patient():
            self._all.Allreduce(self._mpi.IN_PLACE, host)
        if not backend.is_numpy():
            flat[...] = backend.asarray(host)

    def add(self, numbers: dict[str, float]) -> dict[str, float]:
        with self._patient():
            found = self._all.allgather(numbers)
        names = dict.fromkeys(name for one in found for name in one)
        return {name: sum(one.get(name, 0) for one in found) for name in names}  # in the same order on every rank

    def from_first(self, value: Any) -> Any:
        with self._patient():
            return self._all.bcast(value)

    def check_alike(self, weights: Any) -> None:
        own = hashlib.sha256(backend.to_numpy(weights).tobytes()).hexdigest()
        with self._patient():
            found = self._all.allgather(own)
        if len(set(found)) > 1:
            others = [str(i) for i, digest in enumerate(found) if digest != found[0]]
            raise TrainingError(
                tr("the weights of rank {ranks} are no longer those of rank 0: its machine computes otherwise; start "
                   "ranks on machines of one kind only", ranks=", ".join(others))
            )  # fmt: skip

    def wait(self) -> None:
        with self._patient():
            self._all.Barrier()

    # --------------------------------------------------------------------------------------------- when a rank is lost

    @contextlib.contextmanager
    def watched(self, run: Any) -> Iterator[None]:
        """A dead rank is noticed by mpirun, which kills the others before they can say a word; so rank 0 has a process
        outside say it. A rank that hangs is noticed by none but those that wait for it: by a thread of each."""
        folder, finished = "" if run is None else str(run.checkpoints), threading.Event()
        self._words = folder, _sentence(self.size, run), tr("its beginning")
        threading.Thread(target=self._watch, args=(finished,), daemon=True).start()
        with _last_words(self._words) if self.rank == 0 else contextlib.nullcontext():
            try:
                yield
            finally:
                finished.set()

    @contextlib.contextmanager
    def _patient(self) -> Iterator[None]:
        self._deadline = time.monotonic() + self.patience
        yield
        self._deadline = None

    def _watch(self, finished: threading.Event) -> None:
        while not finished.wait(min(1.0, self.patience / 4)):
            deadline = self._deadline
            if deadline is not None and time.monotonic() > deadline:
                said = tr("rank {rank} has heard nothing from the others for {seconds:.0f} s", rank=self.rank,
                          seconds=self.patience)  # fmt: skip
                self.abort(f"minilm: {said}", how_to_go_on=True)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        try:
            yield
        except Interrupted:  # all agreed to stop, and rank 0 says it
            if self.rank:
                raise SystemExit(Interrupted.exit_status) from None
            raise
        except (Exception, KeyboardInterrupt) as error:
            if self.rank:
                time.sleep(HEAD_START)  # most errors come to all ranks alike, and then rank 0 ends them first
            self.abort(self._told(error), how_to_go_on=self.rank > 0)

    def _told(self, error: BaseException) -> str:
        said = str(error) if isinstance(error, MinilmError) else "".join(traceback.format_exception(error))
        return f"minilm: rank {self.rank}: {said}" if self.rank else f"minilm: {said}"

    def abort(self, said: str, how_to_go_on: bool) -> NoReturn:
        """Say why, and end every rank now, with exit status 1; what rank 0 itself meets says by itself what to do."""
        if how_to_go_on and self._words:
            said += "\n" + last_words.said(*self._words)
        print(said, file=sys.stderr, flush=True)
        self._all.Abort(1)
        os._exit(1)


def _sentence(ranks: int, run: Any) -> str:
    if run is None:
        return tr("a process of this training ended, and with it the training; without a run folder nothing is saved")
    command = f"mpirun -n {ranks} {run.resume_command} --mpi"
    return tr("a process of this training ended, and with it the training; go on from {checkpoint} with `{command}`",
              checkpoint="CHECKPOINT", command=command)  # fmt: skip


@contextlib.contextmanager
def _last_words(words: tuple[str, str, str]) -> Iterator[None]:
    """A process of its own session, which no mpirun knows; it says the sentence if this block is never left."""
    try:
        watcher = subprocess.Popen(
            [sys.executable, "-I", last_words.__file__, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:  # a training does not fail for want of last words
        yield
        return
    assert watcher.stdin is not None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            watcher.stdin.write(b"left\n")
            watcher.stdin.close()
        watcher.wait()
