"""Generation: a model's distributions over the next token, turned into text, one token at a time.

    p = softmax(logits / temperature), cut to the top k, then to the nucleus of mass top_p; the next token ~ p

To be read in this order:

    processors.py   what changes the scores of the next token: one function each, with its formula and source
    sampling.py     those functions in their order, and the choice: the largest, or a draw
    reading.py      a model that reads ever longer ids: cache, window, padding
    ending.py       when a sequence ends
    beams.py        beam search
    task.py         a task, checked and put together; the loop
    generating.py   generate, stream, beam_search
    text.py         from tokens to text
"""

from minilm.generation.beams import Beams
from minilm.generation.ending import Ending
from minilm.generation.generating import Searched, beam_search, generate, stream
from minilm.generation.reading import window_start
from minilm.generation.sampling import Sampling
from minilm.generation.task import LongPromptWarning
from minilm.generation.text import END_OF_TEXT, start_ids, stream_text

__all__ = [
    "END_OF_TEXT",
    "Beams",
    "Ending",
    "LongPromptWarning",
    "Sampling",
    "Searched",
    "beam_search",
    "generate",
    "start_ids",
    "stream",
    "stream_text",
    "window_start",
]
