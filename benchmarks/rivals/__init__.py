"""Other systems on the ranker's own impressions, features and sets: trees, and the networks of FuxiCTR.

    fit_and_score("din", workspace, seed=0, work=Path("artifacts/bench/journey/din-seed0"))

`fit` tunes, trains and scores; `trees` and `networks` say what each system is; `histories`, `batches` and
`text_vectors` put the ranker's prepared sets into the form that FuxiCTR's models read.
"""
