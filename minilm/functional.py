"""Every operation under one name: `import minilm.functional as F`."""

from minilm.autograd.ops import *  # noqa: F403
