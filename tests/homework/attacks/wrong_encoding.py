# -*- coding: no-such-encoding -*-
"""Says that it is in an encoding that there is none of."""


def scores(query, key):
    return 1.0
