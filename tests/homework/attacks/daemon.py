"""Leaves a process that has left its session and outlives everything."""

import os
import time


def scores(query, key):
    if not os.fork():
        os.setsid()
        if not os.fork():
            os.setsid()
            while True:
                try:
                    open("/tmp/attack-was-here", "w").close()
                except OSError:
                    pass
                time.sleep(0.1)
        os._exit(0)
    return 1.0
