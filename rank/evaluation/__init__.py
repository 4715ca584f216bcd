"""How a ranker is judged: the protocol, LightGBM on the same columns, calibration after training, drift on newer logs.

Scores come in and figures go out, as metrics.json; nothing is drawn here.
"""
