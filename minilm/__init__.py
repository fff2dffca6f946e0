"""minilm: how language models are pretrained, every part built from scratch in NumPy.

    import minilm as ml

    ml.Tensor  ml.grad  ml.no_grad  ml.gradcheck  ml.fast     floor 1: arrays that remember how they were made
    ml.jvp  ml.hvp  ml.jacobian  ml.hessian  ml.recompute     more than a gradient; less memory for it
    ml.backend  ml.functional                                 NumPy or CuPy; every operation with its gradient
    ml.nn  ml.text                                            floor 2: layers; tokenizers, corpora, batches
    ml.draw  ml.trace  ml.detect_anomaly                      a graph's picture; what ran, how long; where NaN arises
    ml.models                                                 floor 3: the networks
    ml.training  ml.optim  ml.generate                        floor 4: the loop, the optimizers, sampling
    ml.transfer                                               floor 5: a pretrained model on tasks with few labels

A name is loaded when it is first used, so `import minilm` is quick and imports nothing.

The axes of every shape comment, such as `# (B, H, T, S)`, in the whole source:

    B  batch                            K  head width, D/H
    T  time: the target's length        F  hidden width of the MLP
    S  the source's length              V  vocabulary
    D  model width                      L  layers
    H  heads                            Hkv  heads of keys and values
"""

import importlib
from typing import Any

__version__ = "0.1.0"

# public name -> its module, or module:attribute
_HOME = {
    "Tensor": "minilm.autograd:Tensor",
    "backend": "minilm.backend",
    "detect_anomaly": "minilm.autograd.anomaly:detect_anomaly",
    "draw": "minilm.seeing:draw",
    "fast": "minilm.autograd:fast",
    "functional": "minilm.functional",
    "generate": "minilm.generation:generate",
    "grad": "minilm.autograd:grad",
    "gradcheck": "minilm.autograd:gradcheck",
    "hessian": "minilm.autograd:hessian",
    "hvp": "minilm.autograd:hvp",
    "jacobian": "minilm.autograd:jacobian",
    "jvp": "minilm.autograd:jvp",
    "models": "minilm.models",
    "nn": "minilm.nn",
    "no_grad": "minilm.autograd:no_grad",
    "optim": "minilm.training.optim",
    "recompute": "minilm.autograd:recompute",
    "text": "minilm.text",
    "trace": "minilm.seeing:trace",
    "training": "minilm.training",
    "transfer": "minilm.transfer",
}


def __getattr__(name: str) -> Any:
    """The public name, fetched from its home when first used (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'minilm' has no attribute {name!r}")
    module, _, attribute = _HOME[name].partition(":")
    value = importlib.import_module(module)
    if attribute:
        value = getattr(value, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
