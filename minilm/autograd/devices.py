"""Arrays of one home: an operation that is given some of the host and some of the device says which.

Nothing is asked of a call that goes well: the array module itself refuses the mixture, and only then we look why.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from minilm import backend
from minilm.autograd.guards import raw_array
from minilm.backend import xp
from minilm.errors import DeviceError, MinilmError
from minilm.i18n import tr


def explain_devices(op: str, named: Iterable[tuple[str, Any]], error: TypeError | None, kinds: str = "biufc") -> None:
    """DeviceError that names the first argument (of dtypes `kinds`) that is no array of the module in use, if any is.

    error: what the array module said, of which this is the explanation; our own errors already are explanations.
    """
    if isinstance(error, MinilmError) and not isinstance(error, DeviceError):
        return
    for name, argument in named:
        for part in argument if isinstance(argument, tuple) else (argument,):
            a = raw_array(part)
            if _is_foreign(a) and a.dtype.kind in kinds:
                raise DeviceError(
                    tr(
                        "{op}: argument {name} is an array of {home}, but the backend is {backend}: move it with "
                        "ml.Tensor(array) or ml.backend.asarray(array); what was made before backend.use stays "
                        "where it was",
                        op=op,
                        name=name,
                        home=type(a).__module__.partition(".")[0],
                        backend=backend.name(),
                    )
                ) from error


def _is_foreign(a: Any) -> bool:
    return hasattr(a, "dtype") and hasattr(a, "shape") and not isinstance(a, (xp.ndarray, np.generic))
