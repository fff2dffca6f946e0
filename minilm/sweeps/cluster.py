"""The trainings of a sweep on a Dask cluster, which is there already; any scheduler that Dask runs under will do.

A worker keeps its rows and its training in a folder of its own, so machines need not share a disk, and sends back the
result. What a worker that dies was training is given to another one, which begins it anew, to the same bits where it
is a machine of the same kind.
"""

import concurrent.futures
import contextlib
import threading
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from minilm.errors import ConfigError, MinilmError
from minilm.i18n import tr
from minilm.sweeps.lanes import TICK, Done, Failed, Job
from minilm.sweeps.points import Point
from minilm.sweeps.training import train_point

ONE_AT_A_TIME = threading.Lock()  # of a worker with several threads, whose trainings would share one interpreter


def train_on_worker(point: Point) -> dict[str, Any]:
    """In a worker of a cluster: train, in its own folder."""
    from distributed import get_worker

    folder = Path(get_worker().local_directory) / "minilm-sweep"
    with ONE_AT_A_TIME:
        return train_point(point, folder / point.name, folder / "rows")


def run_on_cluster(jobs: Iterable[Job], scheduler: str) -> Done:
    """Results as they come; `scheduler` is its address, as tcp://10.0.0.1:8786."""
    try:
        from distributed import Client, wait
    except ImportError as error:
        raise ConfigError(tr("--dask needs the package distributed: pip install 'minilm[cluster]'")) from error
    try:
        client = Client(scheduler, timeout=15, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ConfigError(
            tr("no Dask scheduler answers at {address}: start one with `dask scheduler`, and its workers with "
               "`dask worker {address} --nthreads 1`", address=scheduler)
        ) from error  # fmt: skip
    with client:
        ours = uuid.uuid4().hex[:8]
        futures = {
            client.submit(job.function, *job.arguments, key=f"{job.name}-{ours}", priority=-place): job
            for place, job in enumerate(jobs)
        }
        while futures:
            with contextlib.suppress(TimeoutError, concurrent.futures.CancelledError):
                wait(list(futures), timeout=TICK, return_when="FIRST_COMPLETED")
            done = [future for future in futures if future.done()]
            if not done:
                yield None
            for future in done:
                yield futures.pop(future), _result(future, scheduler)
                future.release()


def _result(future: Any, scheduler: str) -> Any:
    if future.cancelled() or future.status == "lost":
        raise ConfigError(
            tr("the Dask scheduler at {address} is gone; what is done is kept: give the command again with --resume",
               address=scheduler)
        )  # fmt: skip
    failure = future.exception()
    if failure is None:
        return future.result()
    if isinstance(failure, ConfigError):
        raise failure
    if isinstance(failure, MinilmError):
        return Failed(str(failure))
    return Failed(f"{type(failure).__name__}: {failure}"[:500])
