"""Run as a program beside rank 0: reads until rank 0 has left or died, and says how to go on if it has died.

It imports nothing of minilm, so that it is there at once and takes next to no memory.
"""

import os
import sys


def main(folder: str, sentence: str, beginning: str) -> None:
    if sys.stdin.read():
        return
    found = sorted(name for name in os.listdir(folder) if name.startswith("step-")) if os.path.isdir(folder) else []
    print("minilm:", sentence.replace("CHECKPOINT", found[-1] if found else beginning), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
