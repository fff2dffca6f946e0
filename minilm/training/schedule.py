"""The learning rate as a pure function of the step: a linear warm-up, then a decay to a floor.

Warm-up and cosine decay as in GPT-1 (Radford et al. 2018, §4.1) and GPT-3 (Brown et al. 2020, §B: to 10 % of the
peak); warm-up and linear decay as in BERT (Devlin et al. 2019, §A.2).
"""

import math

from minilm.errors import ConfigError
from minilm.i18n import tr


def cosine(progress: float) -> float:
    """(1 + cos π·progress) / 2: from 1 to 0, flat at both ends."""
    return (1 + math.cos(math.pi * progress)) / 2


def linear(progress: float) -> float:
    """1 − progress: from 1 to 0."""
    return 1 - progress


def constant(progress: float) -> float:
    """1, whatever the progress."""
    return 1.0


SHAPES = {"cosine": cosine, "linear": linear, "constant": constant}


def learning_rate(
    step: int, *, peak: float, steps: int, warmup: int = 0, shape: str = "cosine", floor: float = 0.1
) -> float:
    """The rate of the update that leads to `step` (1 … steps); step 0 is before the first update.

        step <= warmup:  peak · step / warmup                                   (peak at once when warmup is 0)
        later:           peak · (floor + (1 − floor) · shape((step − warmup) / (steps − warmup)))

    shape: "cosine", "linear" or "constant"; floor: the fraction of the peak that is left at `steps` and after it.
    So the rate of step 0 is 0 (with a warm-up), of step `warmup` the peak, of step `steps` floor · peak.
    Raises ConfigError on an unknown shape, a negative step, or a warm-up that is longer than the training.
    """
    check_schedule(peak=peak, steps=steps, warmup=warmup, shape=shape, floor=floor)
    if step < 0:
        raise ConfigError(tr("step is {got}, but steps count from 0", got=step))
    if step < warmup:
        return peak * (step / warmup)
    if shape == "constant" or step == warmup:
        return peak
    progress = min(1.0, (step - warmup) / (steps - warmup)) if steps > warmup else 1.0
    return peak * (floor + (1 - floor) * SHAPES[shape](progress))


def check_schedule(*, peak: float, steps: int, warmup: int, shape: str, floor: float) -> None:
    """Raise a ConfigError that names the first setting that cannot be."""
    if shape not in SHAPES:
        raise ConfigError(tr("schedule is {got!r}; choose one of {names}", got=shape, names=", ".join(SHAPES)))
    if not (math.isfinite(peak) and peak >= 0):
        raise ConfigError(tr("rate is {got}; it must be a number from 0 up, such as 1e-3", got=peak))
    if not 0 <= warmup <= steps:
        raise ConfigError(
            tr("warmup is {got} steps of {steps}; choose it between 0 and the number of steps", got=warmup, steps=steps)
        )
    if not 0 <= floor <= 1:
        raise ConfigError(tr("floor is {got}; it is a fraction of the peak rate, between 0 and 1", got=floor))
