# %% [markdown]
r"""
# Lesson 3. Attention

This lesson proves:

- **L3.2** A position reads only what its mask allows.
"""

# %%
import numpy as np

from minilm.course import lesson

L = lesson("l03")

# %% [markdown]
r"""
## L3.2 A position reads only what its mask allows
"""
# %%
L.ask("L3.2a", "What is the weight of a score of 0?", {"0": "masking_is_multiplying", "1 before dividing": True})
# %%
L.answer("L3.2a", f"{np.exp(0):.0f} before dividing")
L.prove()
