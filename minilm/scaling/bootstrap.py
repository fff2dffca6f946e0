"""Intervals by the bootstrap: draw the runs anew with repetition, fit again, look at the middle of what comes out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm.errors import ConfigError, DataError
from minilm.i18n import tr
from minilm.scaling.draws import minimize_draws
from minilm.scaling.fitting import Fit
from minilm.scaling.forms import Form, as_logs

TRIES = 100  # of a draw that is too poor to fit, e.g. three times the same run


@dataclass(frozen=True)
class Bootstrap:
    """θ of the fits to draws of the runs, (replicas, p)."""

    form: Form
    theta: np.ndarray

    @property
    def draws(self) -> np.ndarray:
        """The constants of each draw, (replicas, p), in the order of the form's names."""
        return self.form.constants(self.theta)

    def interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """The middle `level` of a constant over the draws."""
        return middle(self.draws[:, self.form.names.index(name)], level)

    def of(self, quantity: Callable[..., Any], level: float = 0.95) -> tuple[float, float]:
        """The same of a quantity made of the constants, which it takes by name, each as an array (replicas,)."""
        return middle(np.asarray(quantity(**dict(zip(self.form.names, self.draws.T, strict=True)))), level)

    def band(self, level: float = 0.95, **columns: Any) -> tuple[np.ndarray, np.ndarray]:
        """The same of the predicted loss for columns (n,): from, to. Of the law, not of a further run's noise."""
        logs = as_logs([columns[name] for name in self.form.columns])
        low, high = np.quantile(
            np.exp(self.form.log_loss(self.theta, logs)), [(1 - level) / 2, (1 + level) / 2], axis=0
        )
        return low, high


def middle(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The two quantiles that leave (1 − level) / 2 on each side."""
    if not 0 < level < 1:
        raise ConfigError(tr("level is {got}; wanted a share between 0 and 1, e.g. 0.95", got=level))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap(fit: Fit, replicas: int, rng: np.random.Generator, groups: Sequence[Any] | None = None) -> Bootstrap:
    """Fit `replicas` draws of the runs, each begun where the whole fit ended.

    groups: a label a run; whole groups are drawn then, e.g. all seeds of a setting, which share its misfit. A draw that
    does not have enough different runs is drawn again. DataError where no draw has.
    """
    weights = drawn_weights(fit, replicas, rng, groups)
    theta = minimize_draws(fit.form, fit.logs, fit.log_loss, weights, fit.theta, fit.delta)
    return Bootstrap(fit.form, theta)


def drawn_weights(fit: Fit, replicas: int, rng: np.random.Generator, groups: Sequence[Any] | None = None) -> np.ndarray:
    """How often each run is in each draw, (replicas, n)."""
    if replicas < 1:
        raise ConfigError(
            tr("{name} is {got!r}; it must be a whole number of at least 1", name="replicas", got=replicas)
        )
    members = _members(len(fit.log_loss), groups)  # (groups, n)
    enough = _enough(fit)
    weights, poor = np.zeros((replicas, len(fit.log_loss))), np.arange(replicas)
    for _ in range(TRIES):
        weights[poor] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), len(poor)) @ members
        poor = poor[~enough(weights[poor])]
        if not len(poor):
            return weights
    raise DataError(tr("there are too few different runs for a bootstrap of {p} constants", p=len(fit.form.names)))


def _members(n: int, groups: Sequence[Any] | None) -> np.ndarray:
    """Which runs each group has, (groups, n) of 0 and 1; each alone if there are none."""
    if groups is None:
        return np.eye(n)
    if len(groups) != n:
        raise DataError(tr("{name} has {got} values, loss has {n}", name="groups", got=len(groups), n=n))
    labels = list(groups)
    return np.array([[float(label == one) for label in labels] for one in dict.fromkeys(labels)])


def _enough(fit: Fit) -> Callable[[np.ndarray], np.ndarray]:
    """Weights (m, n) -> whether each row has as many different runs as constants, and no column of one value."""
    runs = _same(np.column_stack([fit.logs, fit.log_loss]))
    columns = [_same(column[:, None]) for column in fit.logs.T]

    def enough(weights: np.ndarray) -> np.ndarray:
        different = ((weights @ runs) > 0).sum(1) >= len(fit.form.names)
        return different & np.all([((weights @ column) > 0).sum(1) > 1 for column in columns], axis=0)

    return enough


def _same(rows: np.ndarray) -> np.ndarray:
    """(n, different rows): 1 where a row is that one."""
    _, which = np.unique(rows, axis=0, return_inverse=True)
    return np.eye(which.max() + 1)[which.ravel()]
