"""Sends, with the right nonce, a header that is nested a hundred thousand times."""

import gc
import os
import struct

from minilm.homework.worker import Channel


def scores(query, key):
    channel = next(c for c in gc.get_objects() if isinstance(c, Channel))
    raw = (
        b'{"nonce":"%s","kind":"value","arrays":[],"data":' % channel.nonce.encode()
        + b"[" * 100000
        + b"]" * 100000
        + b"}"
    )
    os.write(channel.answer, struct.pack(">I", len(raw)) + raw)
    return 1.0
