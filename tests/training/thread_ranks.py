"""Ranks without an MPI: threads of one process that meet where processes would exchange messages."""

import threading
from types import SimpleNamespace

from minilm.training.ranks import Ranks


class Aborted(Exception):
    """What MPI_Abort does here."""


class Meeting:
    """Where the threads bring what they have, and take what all have brought."""

    def __init__(self, size):
        self.size, self.barrier, self.brought = size, threading.Barrier(size, timeout=30), [None] * size

    def exchange(self, rank, value):
        self.brought[rank] = value
        self.barrier.wait()
        found = list(self.brought)
        self.barrier.wait()
        return found


class Comm:
    """As much of an MPI communicator as ranks.py uses."""

    def __init__(self, meeting, rank):
        self.meeting, self.rank = meeting, rank

    def Get_rank(self):
        return self.rank

    def Get_size(self):
        return self.meeting.size

    def Split_type(self, kind):
        return self

    def Allreduce(self, in_place, array):
        assert in_place == "IN_PLACE"
        array[...] = sum(self.meeting.exchange(self.rank, array.copy()))

    def allgather(self, value):
        return self.meeting.exchange(self.rank, value)

    def bcast(self, value):
        return self.meeting.exchange(self.rank, value)[0]

    def Abort(self, status):
        self.meeting.barrier.abort()
        raise Aborted(status)


def mpi(comm):
    """The module `mpi4py.MPI` of one rank."""
    return SimpleNamespace(COMM_WORLD=comm, COMM_TYPE_SHARED="here", IN_PLACE="IN_PLACE",
                           Get_library_version=lambda: "Threads 1.0\nof no year")  # fmt: skip


class ThreadRanks(Ranks):
    """Ranks whose `import mpi4py` finds `mpi`; patience is short, as a bug would make the others wait for ever."""

    def __init__(self, meeting, rank, patience=30.0):
        self._mpi, self._all = mpi(Comm(meeting, rank)), Comm(meeting, rank)
        self.rank, self.size, self.here, self.sharing, self.gpu = rank, meeting.size, meeting.size, 1, rank
        self.patience, self._deadline, self._last_words = patience, None, None


def with_threads(size, work):
    """[work(ranks) for each of `size` ranks], side by side; the first error that is not another's consequence."""
    meeting, found, errors = Meeting(size), [None] * size, []

    def one(rank):
        try:
            found[rank] = work(ThreadRanks(meeting, rank))
        except BaseException as error:
            errors.append(error)
            meeting.barrier.abort()

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise min(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError))
    return found
