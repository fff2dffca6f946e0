"""Runs other programs, in its place and beside it."""

import os
import subprocess
import sys

for command in (
    ["/bin/sh", "-c", "touch /tmp/attack-was-here; sleep 1000"],
    [sys.executable, "-c", "import time; time.sleep(1000)"],
):
    try:
        subprocess.Popen(command)
    except (OSError, MemoryError):
        pass


def scores(query, key):
    os.execv("/bin/sh", ["sh", "-c", "cat /dev/zero; sleep 1000"])
