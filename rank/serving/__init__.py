"""The trained ranker in use: one request, a table of impressions, a page explained, a newer log validated.

`Scorer` is the one way to score: pages are prepared by the code that training uses. Nothing is trained here.
"""
