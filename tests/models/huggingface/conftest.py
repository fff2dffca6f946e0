"""transformers stays off the network and quiet; one import of it serves a module's tests (some ten seconds)."""

import os
import sys
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

sys.path.insert(0, str(Path(__file__).parent))  # agreement.py, importable by name

with warnings.catch_warnings():  # of its import alone, which none of our tests is about
    warnings.simplefilter("ignore")
    import transformers

transformers.utils.logging.disable_progress_bar()
