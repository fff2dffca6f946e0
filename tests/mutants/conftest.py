"""The modules of the mutation tests, importable by name by their own tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
