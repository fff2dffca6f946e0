"""A training of a sweep by a worker of a Dask cluster.

A worker keeps its rows and its trainings in a folder of its own, so machines need not share a disk, and sends back the
result. What a worker that dies was training is given to another one, which begins it anew, to the same bits where it
is a machine of the same kind.
"""

import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import minilm
from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.sweeps.points import Point
from minilm.sweeps.training import source_of, text_of, train_point

ONE_AT_A_TIME = threading.Lock()  # of a worker with several threads, whose trainings would share one interpreter


def train_on_worker(point: Point, version: str, text: dict[str, Any] | None) -> dict[str, Any]:
    """Train, in the worker's own folder. ConfigError where minilm or the text is not that of who asks."""
    from distributed import get_worker

    folder = Path(get_worker().local_directory) / "minilm-sweep"
    digest = hashlib.sha256(json.dumps([point.settings, text], sort_keys=True).encode()).hexdigest()[:16]
    with ONE_AT_A_TIME:
        if version != minilm.__version__:
            raise ConfigError(
                tr("this worker has minilm {here}, and the sweep is of {there}: install the same version",
                   here=minilm.__version__, there=version)
            )  # fmt: skip
        if text != text_of(source_of(point, folder / "rows")):
            raise ConfigError(
                tr("the text {name} is another one on this worker: copy it there, to the same place", name=point.data)
            )
        return train_point(point, folder / digest / point.name, folder / "rows")
