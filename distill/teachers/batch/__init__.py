"""Thousands of prompts to a hosted model as one batch: half the price, answered within a day.

`lines.py` writes and reads the files, `server.py` talks to the server and remembers what is under way, `teacher.py` is
the teacher.
"""
