"""Homework: what a student is handed, what checks it, why it is wrong, and what it is worth.

It stands on minilm.course, knows arrays and processes, and knows no model.
"""
