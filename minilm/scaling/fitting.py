"""A fit of one formula to runs: its constants, what it predicts, what is left over."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm.errors import DataError
from minilm.i18n import tr
from minilm.scaling.forms import Form, Powers, as_logs
from minilm.scaling.minimizing import DELTA, PATIENT, Rule, minimize


@dataclass(frozen=True)
class Fit:
    """A formula with its constants, and the runs that it was fitted to.

    theta: (p,). logs: ln of the columns, (n, k). log_loss: (n,), of the loss, or of the excess over a known floor.
    value: the sum of Huber's function. delta, rule: as given, for fits to other draws of the runs.
    """

    form: Form
    theta: np.ndarray
    logs: np.ndarray
    log_loss: np.ndarray
    value: float
    delta: float = DELTA
    rule: Rule = PATIENT

    @property
    def constants(self) -> dict[str, float]:
        """The constants by name."""
        values = self.form.constants(self.theta)
        return dict(zip(self.form.names, map(float, values), strict=True))

    def predict(self, **columns: Any) -> np.ndarray:
        """The loss that the formula gives for these columns, numbers or arrays of one length."""
        values = [np.atleast_1d(np.asarray(columns[name], float)) for name in self.form.columns]
        return np.exp(self.form.log_loss(self.theta, as_logs(np.broadcast_arrays(*values))))

    @property
    def residuals(self) -> np.ndarray:
        """ln L − ln L̂ of each run, (n,): .01 is a loss one percent above the formula."""
        return self.log_loss - self.form.log_loss(self.theta, self.logs)

    @property
    def r_squared(self) -> float:
        """1 − Σ r² / Σ (ln L − mean ln L)²: the share of what the logarithms vary that the formula explains."""
        return _r_squared(self.residuals, self.log_loss)

    @property
    def r_squared_of_means(self) -> float:
        """The same for the geometric mean of the runs that differ in nothing but their seed."""
        _, which = np.unique(self.logs, axis=0, return_inverse=True)
        count = np.bincount(which.ravel())
        mean = np.bincount(which.ravel(), self.log_loss) / count
        return _r_squared(np.bincount(which.ravel(), self.residuals) / count, mean)


def _r_squared(residuals: np.ndarray, values: np.ndarray) -> float:
    varied = values - values.mean()
    return 1 - float(residuals @ residuals) / float(varied @ varied)


def fit(
    form: Form,
    columns: Mapping[str, Any],
    loss: Any,
    *,
    delta: float = DELTA,
    rule: Rule = PATIENT,
    starts: np.ndarray | None = None,
) -> Fit:
    """Fit a formula to runs by the sum of Huber's function on ln L (Hoffmann et al. 2022, appendix D.3).

    columns: name -> numbers above 0, (n,), at least those that the form reads. loss: (n,), above 0. delta: inf for
    least squares, which for a power law without a floor is solved by a line, and needs no SciPy. DataError names a
    column that is missing, and runs that cannot be fitted.
    """
    logs, log_loss = checked(form, columns, loss)
    if isinstance(form, Powers) and form == _line(form) and np.isinf(delta):
        slope, height = np.polyfit(logs[:, 0], log_loss, 1)
        theta = np.array([height, -slope])
        residual = log_loss - height - slope * logs[:, 0]
        return Fit(form, theta, logs, log_loss, float(residual @ residual) / 2, delta, rule)
    found = minimize(form, logs, log_loss, np.ones(len(logs)), starts=starts, delta=delta, rule=rule)
    return Fit(form, found.theta, logs, log_loss, found.value, delta, rule)


def _line(form: Powers) -> Powers:
    """The form if its logarithm is a line: one power, no floor."""
    return Powers(form.columns[:1], form.names, floor=False, critical=form.critical)


def checked(form: Form, columns: Mapping[str, Any], loss: Any) -> tuple[np.ndarray, np.ndarray]:
    """ln of the columns (n, k) and of the loss (n,); DataError for what has no logarithm or is too little to fit."""
    missing = [name for name in form.columns if name not in columns]
    if missing:
        raise DataError(
            tr("the runs say nothing of {missing}; they have {known}", missing=", ".join(missing),
               known=", ".join(columns))
        )  # fmt: skip
    values = {name: np.asarray(columns[name], float).ravel() for name in form.columns}
    values["loss"] = np.asarray(loss, float).ravel()
    n = len(values["loss"])
    for name, column in values.items():
        if len(column) != n:
            raise DataError(tr("{name} has {got} values, loss has {n}", name=name, got=len(column), n=n))
        if bad := np.flatnonzero(~(column > 0) | ~np.isfinite(column)).tolist():
            raise DataError(
                tr("{name} of run {run} is {value}; a power law needs numbers above 0: leave the run out", name=name,
                   run=bad[0] + 1, value=column[bad[0]])
            )  # fmt: skip
    logs = as_logs([values[name] for name in form.columns])
    few = len(np.unique(np.column_stack([logs, np.log(values["loss"])]), axis=0)) < len(form.names)
    narrow = [name for name, column in zip(form.columns, logs.T, strict=True) if len(np.unique(column)) < 2]
    if few or narrow:
        raise DataError(
            tr("too few different runs ({n}) for {p} constants, or all have the same {columns}", n=n, p=len(form.names),
               columns=", ".join(narrow or form.columns))
        )  # fmt: skip
    return logs, np.log(values["loss"])
