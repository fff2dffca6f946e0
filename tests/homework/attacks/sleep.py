"""Never answers, without using time of the processor."""

import time


def scores(query, key):
    time.sleep(10**6)
