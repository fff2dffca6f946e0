"""Prints without end."""

import sys


def scores(query, key):
    while True:
        sys.stdout.write("attack " * 10000)
        sys.stderr.write("attack " * 10000)
