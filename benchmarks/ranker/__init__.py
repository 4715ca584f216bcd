"""The comparison behind `python -m benchmarks.ranker`: the ranker, its rivals and its ablations, seed by seed.

`systems` says what is compared, `plan` in which order and for how long, `cell` is one training, `scores` judges what
the trainings left, `intervals` draws users and seeds, `results` puts the figures together and `tables` prints
them.
"""
