"""Tests of sweeps share made_sweep.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
