"""The light encoder: its start, its trainings in the order of `recipe.py`, and the pairs it sees.

The folder it is saved as is `prectr.shared.encoder`'s; of teachers only their judgements are known.
"""
