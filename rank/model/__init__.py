"""The network: `ranker_model.py` mirrors the paper's equations, the other files are its parts.

Tensors in, tensors out: no tables, no losses, no files.
"""
