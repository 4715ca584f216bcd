"""How a ranker and its rivals are judged: the protocol, calibration, drift, and LightGBM on the same features.

Predictions come in, figures go out; nothing is drawn here.
"""
