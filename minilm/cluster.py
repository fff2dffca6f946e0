"""Jobs by the workers of a Dask cluster, which is there already; whatever Dask can be started by will do.

What a worker that dies was doing is given to another, three times at most. See lanes.py for jobs and what fails.
"""

import asyncio
import concurrent.futures
import contextlib
import logging
import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from minilm.errors import ConfigError, MinilmError
from minilm.i18n import tr
from minilm.lanes import TICK, Done, Failed, Fatal, Job, attempt, told


def run_on_cluster(jobs: Iterable[Job], scheduler: str, fatal: Fatal) -> Done:
    """Results, or Failed, as they come; begun in their order. scheduler: its address, as tcp://10.0.0.1:8786.

    ConfigError where none answers, or when it is gone. Close the iterator to take back what has not begun.
    """
    with _connected(scheduler) as client:
        ours = uuid.uuid4().hex[:8]
        futures = {
            client.submit(attempt, job.function, job.arguments, fatal, key=f"{job.name}-{ours}-{i}", priority=-i): job
            for i, job in enumerate(jobs)
        }
        while futures:
            done = [future for future in futures if future.done()]
            if not done:
                if client.status not in ("running", "connecting"):
                    raise _gone(scheduler)
                yield None
                time.sleep(TICK)
            for future in done:
                yield futures.pop(future), _result(future, scheduler)
                future.release()


@contextlib.contextmanager
def _connected(scheduler: str) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError(tr("--dask needs the package distributed: pip install 'minilm[cluster]'")) from error
    try:
        client = Client(scheduler, timeout=15, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ConfigError(
            tr("no Dask scheduler answers at {address}: start one with `dask scheduler`, and its workers with "
               "`dask worker {address} --nthreads 1`", address=scheduler)
        ) from error  # fmt: skip
    with _quiet("distributed.client"), client:
        yield client


@contextlib.contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Of a scheduler that is gone they would tell in pages what we say in a sentence."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _result(future: Any, scheduler: str) -> Any:
    """Waits where the worker that has the result died before it was fetched, so that another one makes it."""
    from distributed import KilledWorker

    try:
        return future.result()
    except (asyncio.CancelledError, concurrent.futures.CancelledError) as error:
        raise _gone(scheduler) from error
    except KilledWorker:
        return Failed(tr("the workers that were given it ended, one after another"))
    except MinilmError:
        raise
    except Exception as error:
        return Failed(told(error))


def _gone(scheduler: str) -> ConfigError:
    return ConfigError(
        tr("the Dask scheduler at {address} is gone; what is done is kept: give the command again with --resume",
           address=scheduler)
    )  # fmt: skip
