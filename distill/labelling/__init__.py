"""Which pairs the teacher is asked for, and what it said: the job, its cache and its tables.

A label is never computed twice, and what failed is never a label.
"""
