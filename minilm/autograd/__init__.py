"""Floor 1, the engine: Tensors, operations with their gradients beneath, and the check that they are right.

To be read in this order: tensor.py, operation.py, backward.py; ops.py, shapes.py, products.py; gradcheck.py and
derivatives.py; then the fused operations, each a plain twin and a fast kernel: fused.py, norms.py, attention.py,
losses.py. The rest serves these: state.py the switches, guards.py what must not change, methods.py the operators,
recompute.py memory for time, later.py gradients made where they will lie.
"""

from minilm.autograd import methods  # gives Tensor its operators
from minilm.autograd.backward import grad
from minilm.autograd.derivatives import hessian, hvp, jacobian, jvp
from minilm.autograd.gradcheck import GradientError, gradcheck
from minilm.autograd.guards import writable
from minilm.autograd.operation import UpcastWarning, primitive, unbroadcast
from minilm.autograd.recompute import recompute
from minilm.autograd.state import fast, is_recording, no_grad
from minilm.autograd.tensor import Tensor, shape, value

__all__ = [
    "GradientError", "Tensor", "UpcastWarning", "fast", "grad", "gradcheck", "hessian", "hvp",
    "is_recording", "jacobian", "jvp", "methods", "no_grad", "primitive", "recompute", "shape", "unbroadcast",
    "value", "writable",
]  # fmt: skip
