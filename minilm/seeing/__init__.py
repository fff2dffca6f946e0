"""Floor 2, what a computation looks like: the picture of a graph, and the table of what ran, how long and how much.

To be read in this order: flops.py, tracing.py, memory.py, table.py; graph.py, layout.py, drawing.py.
"""

from minilm.seeing.drawing import Drawing, draw
from minilm.seeing.tracing import Record, trace

__all__ = ["Drawing", "Record", "draw", "trace"]
