"""Every kind of judge that can teach, behind one interface (base.py). A new kind is a file here and a line in panel.py.

Nothing here knows the student.
"""
