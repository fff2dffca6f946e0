"""The test of a law: fit the small runs, predict the large ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.scaling.bootstrap import drawn_weights, middle
from minilm.scaling.draws import minimize_draws
from minilm.scaling.fitting import Fit, checked, fit
from minilm.scaling.forms import Form


@dataclass(frozen=True)
class Extrapolation:
    """The fit to the small runs; of the large ones, x (k,), predicted and measured loss, and the ratio's interval.

    Large runs that differ in nothing but their seed are one, their loss the geometric mean.
    """

    fit: Fit
    x: np.ndarray
    predicted: np.ndarray
    measured: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        """Predicted over measured: 1 is right, .6 is far too hopeful."""
        return self.predicted / self.measured


def extrapolate(
    form: Form,
    columns: Mapping[str, Any],
    loss: Any,
    by: str,
    small: int,
    replicas: int,
    rng: np.random.Generator,
    level: float = 0.95,
    **how: Any,
) -> Extrapolation:
    """Fit the runs with the `small` least values of column `by`, predict those with greater ones.

    The interval is that of the ratio over a bootstrap of the small runs: it knows their noise, not whether the law goes
    on. how: of `fit`. ConfigError unless some values are left to predict.
    """
    x = np.asarray(columns[by], float)
    values = np.unique(x)
    if not 2 <= small < len(values):
        raise ConfigError(
            tr("small is {got}; {by} has {n} values, so wanted 2 to {most}", got=small, by=by, n=len(values),
               most=len(values) - 1)
        )  # fmt: skip
    lesser = x <= values[small - 1]
    logs, log_loss = checked(form, columns, loss)
    found = fit(
        form, {name: np.asarray(columns[name])[lesser] for name in form.columns}, np.exp(log_loss[lesser]), **how
    )
    logs, which = np.unique(logs[~lesser], axis=0, return_inverse=True)
    which = which.ravel()
    measured = np.exp(np.bincount(which, log_loss[~lesser]) / np.bincount(which))
    predicted = np.exp(form.log_loss(found.theta, logs))
    thetas = minimize_draws(
        form, found.logs, found.log_loss, drawn_weights(found, replicas, rng), found.theta, found.delta
    )
    ratios = np.exp(form.log_loss(thetas, logs)) / measured
    low, high = np.array([middle(column, level) for column in ratios.T]).T
    rest = np.bincount(which, x[~lesser]) / np.bincount(which)
    return Extrapolation(found, rest, predicted, measured, low, high)
