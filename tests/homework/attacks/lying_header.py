"""Sends, with the right nonce, headers of arrays that no memory can hold, or that are none."""

import gc
import json
import os
import struct

from minilm.homework.worker import Channel

count = 0
SHAPES = [[1 << 40], [0, 1 << 62], [-1], [1 << 20, 1 << 20, 1 << 20], [True], ["2"], [1] * 100, [2.0], 4, None]


def scores(query, key):
    global count
    channel = next(c for c in gc.get_objects() if isinstance(c, Channel))
    count += 1
    arrays = [{"dtype": "<f8", "shape": SHAPES[count % len(SHAPES)]}]
    header = {"nonce": channel.nonce, "kind": "value", "data": ["a", 0], "arrays": arrays}
    raw = json.dumps(header).encode()
    os.write(channel.answer, struct.pack(">I", len(raw)) + raw)
    return 1.0
