"""Leaves with the exit status of success, at once when it is imported."""

import sys

sys.exit(0)
