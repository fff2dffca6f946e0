"""Ignores every signal, then never answers."""

import signal

for number in signal.valid_signals():
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def scores(query, key):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
