"""Leaves the processes, the shared memory and the semaphores of a pool."""

import multiprocessing
import multiprocessing.shared_memory
import time

try:
    shared = multiprocessing.shared_memory.SharedMemory("attack-was-here", True, 1 << 20)
except OSError:
    pass


def scores(query, key):
    multiprocessing.Process(target=time.sleep, args=(1000,)).start()
    multiprocessing.Pool(4).map_async(time.sleep, [1000] * 4)
    return 1.0
