"""The gradient doctor: why a function is wrong.

diagnose(bank, task, impl, verdict, seed) -> Diagnosis: the cause in one line, or that it is not known
"""

from minilm.homework.diagnosis.diagnosing import Diagnosis, diagnose

__all__ = ["Diagnosis", "diagnose"]
