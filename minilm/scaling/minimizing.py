"""The objective, a sum of Huber's function over the runs, and its minimizer: L-BFGS from a grid of starts."""

from typing import Any, NamedTuple

import numpy as np

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.scaling.forms import Form

DELTA = 1e-3  # where a parabola becomes a line (Hoffmann et al. 2022, appendix D.3)
SEEN = 60  # runs by which starts are compared


class Rule(NamedTuple):
    """What is handed to L-BFGS, and when it stops.

    mean: divide the objective by the number of runs. centred: columns over their geometric mean, which keeps heights
    and slopes apart; the minimum is the same. scaled: the objective over δ², so that the rule that stops, which is
    relative to max(|value|, 1), sees a number that is not tiny. ftol, gtol: SciPy's. best: how many of the starts, by
    their objective, are followed; None: all.
    """

    mean: bool = False
    centred: bool = True
    scaled: bool = True
    ftol: float = 1e-13
    gtol: float = 1e-8
    best: int | None = 6


PATIENT = Rule()
# As a first try would have it: columns as they are, SciPy's own tolerances. With the mean it stops near where it began,
# which, it seems, is how the constants printed in Hoffmann et al. 2022 came about (Besiroglu et al. 2024).
PLAIN_SUM = Rule(centred=False, scaled=False, ftol=2.2e-9, gtol=1e-5)
PLAIN_MEAN = PLAIN_SUM._replace(mean=True)


class Minimum(NamedTuple):
    """θ (p,), and the sum of Huber's function there, whatever the rule divided by."""

    theta: np.ndarray
    value: float


def huber(residual: np.ndarray, delta: float) -> np.ndarray:
    """r² / 2 for |r| ≤ δ, δ (|r| − δ/2) beyond; δ = ∞ is least squares."""
    near = np.clip(residual, -delta, delta)
    return near * (residual - near / 2)


def objective(
    form: Form, theta: np.ndarray, logs: np.ndarray, log_loss: np.ndarray, weights: np.ndarray, delta: float
) -> tuple[float, np.ndarray]:
    """Σ_i w_i Huber(ln L̂_i − ln L_i) and its gradient (p,)."""
    found, slopes = form.gradient(theta, logs)
    residual = found - log_loss
    pull = np.clip(residual, -delta, delta)  # Huber's derivative
    return float(weights @ (pull * (residual - pull / 2))), slopes @ (weights * pull)


def minimize(
    form: Form,
    logs: np.ndarray,
    log_loss: np.ndarray,
    weights: np.ndarray,
    *,
    starts: np.ndarray | None = None,
    delta: float = DELTA,
    rule: Rule = PATIENT,
) -> Minimum:
    """The best end of L-BFGS from several starts. ConfigError where SciPy is not installed.

    logs: (n, k), log_loss and weights: (n,). starts: (m, p), the form's own if None.
    """
    solver = lbfgs()
    centre = logs.mean(0) if rule.centred else np.zeros(logs.shape[1])
    moved = logs - centre
    starts = form.starts(logs, log_loss) if starts is None else starts
    places = form.centred(_followed(form, starts, logs, log_loss, weights, delta, rule.best), centre)
    divisor = (weights.sum() if rule.mean else 1.0) * (min(delta, 1.0) ** 2 if rule.scaled else 1.0)

    def scaled(theta: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = objective(form, theta, moved, log_loss, weights, delta)
        return value / divisor, slope / divisor

    options = {"ftol": rule.ftol, "gtol": rule.gtol, "maxiter": 5000, "maxfun": 20_000, "maxcor": 20}
    best: Any = None
    with np.errstate(all="ignore"):
        for place in places:
            end = solver(scaled, place, jac=True, method="L-BFGS-B", options=options)
            if np.isfinite(end.fun) and (best is None or end.fun < best.fun):
                best = end
    if best is None:
        raise ConfigError(tr("no start of the fit led anywhere: are there losses or sizes that are far out of range?"))
    return Minimum(form.centred(best.x, centre, back=True), float(best.fun * divisor))


def _followed(
    form: Form,
    starts: np.ndarray,
    logs: np.ndarray,
    log_loss: np.ndarray,
    weights: np.ndarray,
    delta: float,
    best: int | None,
) -> np.ndarray:
    """The starts with the least objective, at most `best` of them; of many runs some are enough to tell."""
    if best is None or len(starts) <= best:
        return starts
    some = slice(None, None, -(-len(logs) // SEEN))
    logs, log_loss, weights = logs[some], log_loss[some], weights[some]
    values = []
    with np.errstate(all="ignore"):
        for part in np.array_split(starts, 1 + len(starts) * len(logs) // 100_000):  # so that each fits the cache
            values.append(huber(form.log_loss(part, logs) - log_loss, delta) @ weights)
    order = np.argsort(np.nan_to_num(np.concatenate(values), nan=np.inf), kind="stable")
    return starts[order[:best]]


def lbfgs() -> Any:
    """SciPy's minimizers; ConfigError where it is not installed."""
    try:
        from scipy.optimize import minimize as solver
    except ImportError as error:
        raise ConfigError(tr("to fit a law, install the extra 'minilm[scaling]', the package SciPy")) from error
    return solver
