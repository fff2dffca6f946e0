"""Hides files in memory, keeps them mapped, and runs one of them."""

import mmap
import os

try:
    fd = os.memfd_create("attack-was-here")
    os.write(fd, b"#!/bin/sh\nsleep 1000\n")
    KEPT = mmap.mmap(-1, 1 << 20)
    os.execve(fd, ["x"], {})
except OSError:
    pass


def scores(query, key):
    return 1.0
