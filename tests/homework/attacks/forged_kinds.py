"""Answers with kinds of frames that there are none of."""

import gc

from minilm.homework.wire import Frame, send
from minilm.homework.worker import Channel

count = 0


def scores(query, key):
    global count
    channel = next(c for c in gc.get_objects() if isinstance(c, Channel))
    count += 1
    kinds = [
        ("passed", True),
        ("failure", None),
        ("failure", {"kind": "passed", "type": "", "text": "", "line": 0}),
        ("failure", {"kind": "raised", "type": 1, "text": [], "line": "x"}),
        ("verdict", {"passed": True}),
        ("reference", {"name": "scores"}),
        ("reference", ["scores"]),
        ("reference_gradient", None),
    ]
    kind, data = kinds[count % len(kinds)]
    send(channel.answer, Frame(kind, data, channel.nonce))
    return 1.0
