"""The network: ranker_model.py mirrors the equations, the other files are its parts.

No data, no losses, no files read.
"""
