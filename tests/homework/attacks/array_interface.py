"""Returns an object whose array interface points at memory that is not its own."""


class Liar:
    __array_interface__ = {"shape": (1 << 20,), "typestr": "<f8", "data": (4096, False), "version": 3}


def scores(query, key):
    import numpy as np

    return np.asarray(Liar())
