"""Scaling laws: what was published, how compute is counted, how a law is fitted and how far it can be trusted.

Read surface.py (a loss of size and data, and how to spend a budget on it), published.py (Kaplan's and Hoffmann's
constants), reconciled.py (why the two differ), counting.py (parameters and FLOPs), runs.py (the table of runs that is
fitted); then the fits: forms.py (the formulas), minimizing.py (Huber and L-BFGS), fitting.py (a fit and what is left),
bootstrap.py (intervals), extrapolation.py, approaches.py (Chinchilla's three), analysis.py (all of them for one
table), plots.py; and plan.py (past one machine).
"""
