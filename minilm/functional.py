"""Every operation under one name: `import minilm.functional as F`."""

from minilm.autograd.attention import *  # noqa: F403
from minilm.autograd.fused import *  # noqa: F403
from minilm.autograd.gates import *  # noqa: F403
from minilm.autograd.losses import *  # noqa: F403
from minilm.autograd.norms import *  # noqa: F403
from minilm.autograd.ops import *  # noqa: F403
from minilm.autograd.products import *  # noqa: F403
from minilm.autograd.rotary import *  # noqa: F403
from minilm.autograd.shapes import *  # noqa: F403
