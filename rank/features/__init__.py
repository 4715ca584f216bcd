"""Hand-made features and counts of every impression, computed once and written memory-mapped.

They see the past only through history/.
"""
