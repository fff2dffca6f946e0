"""The unit in which models with different vocabularies compare."""

import math

from minilm.errors import DataError
from minilm.i18n import tr


def bits_per_byte(nats_per_token: float, tokens: int, bytes: int) -> float:
    """(nats per token) · tokens / (ln 2 · bytes): the loss on a text of that many tokens and UTF-8 bytes.

    Nats per token depend on how a tokenizer cuts; bits per byte of the same text do not.
    """
    if bytes <= 0 or tokens < 0:
        raise DataError(
            tr("bits per byte need a text: got {tokens} tokens and {bytes} bytes", tokens=tokens, bytes=bytes)
        )
    return nats_per_token * tokens / (math.log(2) * bytes)
