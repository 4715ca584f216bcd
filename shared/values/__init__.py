"""What a single cell means, whoever wrote it: nothing, a yes or a no, a moment, a text.

Converters, the checks of tables, `rank score` and `Ranker.score` all read values by these functions, so that the same
cell is the same thing everywhere.
"""
