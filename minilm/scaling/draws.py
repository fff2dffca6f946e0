"""Many fits of one formula at once, each to other weights of the same runs: what a bootstrap needs."""

import numpy as np

from minilm.scaling.forms import Form
from minilm.scaling.minimizing import huber

STEPS, SAVES = 300, 1e-13  # at most so many; until a step would save less than so much of the objective
DAMPED, LESS, MORE = 1e-2, 0.2, 6.0  # the damping at first, after a step that helped, after one that did not


def minimize_draws(
    form: Form, logs: np.ndarray, log_loss: np.ndarray, weights: np.ndarray, theta: np.ndarray, delta: float
) -> np.ndarray:
    """θ (m, p) of the sum of Huber's function for each row of weights (m, n), all begun at one θ (p,).

    A fit begun at its neighbour's end needs no grid of starts, and one vector at a time most of the time would be
    Python's. The step is between Newton's and that of reweighted least squares: with J = d ln L̂ / dθ and the residual
    r, (Jᵀ W K J + λ Jᵀ W M J) s = −Jᵀ W Huber′(r), where K is 1 for |r| ≤ δ, else 0 (Newton's, but for the bend of the
    formula), M is 1 for |r| ≤ δ, else δ / |r| (which bounds Huber's function from above, so it always descends).
    """
    centre = logs.mean(0)
    moved = logs - centre
    at = np.repeat(form.centred(theta, centre)[None], len(weights), 0)
    damping, running = np.full(len(weights), DAMPED), np.arange(len(weights))
    value = _values(form, at, moved, log_loss, weights, delta)
    for _ in range(STEPS):
        step, saves = _step(form, at[running], moved, log_loss, weights[running], damping[running], delta)
        found = _values(form, at[running] + step, moved, log_loss, weights[running], delta)
        helped = found < value[running]
        at[running[helped]] += step[helped]
        done = np.where(helped, saves <= SAVES * value[running], damping[running] > 1e12)
        value[running[helped]] = found[helped]
        damping[running] *= np.where(helped, LESS, MORE)
        running = running[~(done | (saves <= SAVES**2))]
        if not len(running):
            break
    return form.centred(at, centre, back=True)


def _values(
    form: Form, theta: np.ndarray, logs: np.ndarray, log_loss: np.ndarray, weights: np.ndarray, delta: float
) -> np.ndarray:
    with np.errstate(all="ignore"):
        return (weights * huber(form.log_loss(theta, logs) - log_loss, delta)).sum(1)


def _step(
    form: Form,
    theta: np.ndarray,
    logs: np.ndarray,
    log_loss: np.ndarray,
    weights: np.ndarray,
    damping: np.ndarray,
    delta: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The step of each fit (m, p), and what it would save if the objective were its parabola (m,)."""
    found, slopes = form.gradient(theta, logs)  # (m, n), (p, m, n)
    J = np.moveaxis(slopes, 0, 1)  # (m, p, n)
    residual = found - log_loss
    size = np.abs(residual)
    bound = np.where(size <= delta, 1.0, delta / np.maximum(size, delta)) if np.isfinite(delta) else np.ones_like(size)
    curve = weights * ((size <= delta) + damping[:, None] * bound)
    H = (J * curve[:, None]) @ J.swapaxes(1, 2)
    H += 1e-12 * np.einsum("mii->m", H)[:, None, None] * np.eye(H.shape[-1])
    slope = (J @ (weights * np.clip(residual, -delta, delta))[..., None])[..., 0]
    step = -np.linalg.solve(H, slope[..., None])[..., 0]
    return step, -(slope * step).sum(1) / 2
