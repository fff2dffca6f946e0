"""The gradient doctor: why a function is wrong.

diagnose(bank, task, impl, verdict, seed) -> Diagnosis: the cause in one line, or that it is not known
diagnose_safely: the same for those who must go on whatever happens
"""

from minilm.homework.diagnosis.diagnosing import Diagnosis, diagnose, diagnose_safely

__all__ = ["Diagnosis", "diagnose", "diagnose_safely"]
