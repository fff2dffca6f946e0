"""Run as a program beside rank 0: reads until rank 0 has left or died, and says how to go on if it has died.

It imports nothing of minilm, so that it is there at once and takes next to no memory.
"""

import os
import sys


def said(folder: str, sentence: str, beginning: str) -> str:
    """The sentence with the newest checkpoint of the folder in it, or what stands for none."""
    found = sorted(name for name in os.listdir(folder) if name.startswith("step-")) if os.path.isdir(folder) else []
    return "minilm: " + sentence.replace("CHECKPOINT", found[-1] if found else beginning)


if __name__ == "__main__":
    if not sys.stdin.read():
        print(said(*sys.argv[1:]), file=sys.stderr, flush=True)
