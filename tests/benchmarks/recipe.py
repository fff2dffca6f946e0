"""What all engines share: how they train, and how one says that it cannot.

AdamW with decay on matrices alone, one rate, gradients clipped to a global norm.
"""

RATE, BETAS, EPSILON, DECAY, CLIP = 1e-3, (0.9, 0.95), 1e-8, 0.1, 1.0


class Unavailable(Exception):
    """This machine cannot run the engine; the message says why."""
