"""Who labels: all judges are asked the same validation pairs, and the best of them is the teacher.

Judges are asked and compared here; how each is taught and opened is the business of `teachers`.
"""
