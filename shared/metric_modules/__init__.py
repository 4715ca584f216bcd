"""The metrics as Hugging Face `evaluate` modules, a folder each; what they compute stands in `shared/metrics.py`.

A checkout's folder is what others load, `evaluate.load("./shared/metric_modules/gauc")`: without a network, and with
this package installed, since a module only calls it. Inside the project `front.open_metric` opens them.
"""
