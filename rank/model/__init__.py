"""The network: `ranker_model.py` mirrors the paper's equations; beside it its parts, its saved folder, its scoring.

No tables of the contract, no losses: what is read here was prepared in `features` and `inputs`.
"""
