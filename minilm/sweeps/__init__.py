"""Sweeps: families of small models trained to measure a scaling law, on this machine or on a cluster.

Read config.py (what a sweep is, as TOML), points.py (the trainings it asks for), rows.py (Mundito, written once for all
of them), training.py (one training), worker.py (the same on a cluster), table.py (what came out), findings.py (the
laws), sweep.py (all of it, which goes on where it was killed).
"""
