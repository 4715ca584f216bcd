"""Every kind of judge that can teach, behind the interface of `base.py`; `panel.py` teaches, calibrates and opens them.

A new kind is a file here, a branch in `panel.py` and one in `models/sources.py`. Nothing here knows the student.
"""
