"""Sends, with the right nonce, an array of objects and one of records."""

import gc
import json
import os
import struct

from minilm.homework.worker import Channel

count = 0
DTYPES = ["|O", "O", "|V8", "<U10", "<c16", ">f8", "f8,f8", "<M8[s]", "__import__('os')", 8, None, ["<f8"]]


def scores(query, key):
    global count
    channel = next(c for c in gc.get_objects() if isinstance(c, Channel))
    count += 1
    arrays = [{"dtype": DTYPES[count % len(DTYPES)], "shape": [1]}]
    header = {"nonce": channel.nonce, "kind": "value", "data": ["a", 0], "arrays": arrays}
    raw = json.dumps(header).encode()
    os.write(channel.answer, struct.pack(">I", len(raw)) + raw + b"\xff" * 8)
    return 1.0
