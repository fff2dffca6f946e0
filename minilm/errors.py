"""Every error that minilm raises on purpose: one sentence that names what was given, what was wanted and what to do.

Each also is the built-in error that a Python user expects, so `except ValueError` keeps working.
"""


class MinilmError(Exception):
    """Any error of ours; the command line prints its sentence and exits with its status."""

    exit_status = 1


class ShapeError(MinilmError, ValueError):
    """Arrays whose shapes do not fit together."""


class DTypeError(MinilmError, TypeError):
    """An array of the wrong kind of number, e.g. an integer tensor asked for a gradient."""


class DeviceError(MinilmError, TypeError):
    """Arrays of the host and of a device in one operation."""


class GraphError(MinilmError, RuntimeError):
    """A computation graph used in a way that has no right answer, e.g. a second backward through a freed graph."""


class AnomalyError(MinilmError, ArithmeticError):
    """NaN or infinity where there should be none, found by `ml.detect_anomaly()`."""


class ConfigError(MinilmError, ValueError):
    """A setting that cannot be, e.g. a number of heads that does not divide the width."""


class DataError(MinilmError, ValueError):
    """A text, corpus or tokenizer file that cannot be used."""


class CheckpointError(MinilmError, ValueError):
    """A checkpoint or run folder that is missing, damaged or made for another model."""


class TrainingError(MinilmError, RuntimeError):
    """A training that cannot go on, e.g. because its loss is not a number."""
