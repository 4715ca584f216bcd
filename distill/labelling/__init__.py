"""Which pairs the teacher is asked about, and what it said: strategies, the job that processes share, the label cache.

No label is computed twice, what failed is never a label, and nothing here is trained.
"""
