"""What a training says when one of its processes was killed: from which checkpoint it goes on, and by which command.

mpirun kills the other ranks at once, so none of them can say it. A program beside rank 0 does, this very file run by
itself: it waits at a pipe that closes when rank 0 is gone, however that came about, and then speaks, unless rank 0 took
its leave. It imports nothing of minilm, so that it is there at once.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def unless_left(sentence: str, checkpoints: str, none_yet: str) -> Iterator[None]:
    """If this process is gone before it leaves the block, the sentence is said on its stderr.

    CHECKPOINT in it becomes the newest one in the folder `checkpoints`, or `none_yet`.
    """
    try:
        beside = subprocess.Popen(
            [sys.executable, "-I", __file__, sentence, checkpoints, none_yet],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # so that no signal for this process reaches it
        )
    except OSError:  # a training does not fail for want of last words
        yield
        return
    assert beside.stdin is not None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            beside.stdin.write(b"left")
            beside.stdin.close()
        beside.wait()


def said_of(sentence: str, checkpoints: str, none_yet: str) -> str:
    """The sentence with the newest checkpoint in it."""
    found = [name for name in os.listdir(checkpoints) if name.startswith("step-")] if checkpoints else []
    return sentence.replace("CHECKPOINT", max(found, default=none_yet))


if __name__ == "__main__":
    if not sys.stdin.read():
        print("minilm:", said_of(*sys.argv[1:]), file=sys.stderr, flush=True)
