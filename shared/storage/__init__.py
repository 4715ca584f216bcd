"""Tables and arrays that no memory need hold: DuckDB for sorting and distinct values, .npy files written part by part.

Nothing here knows what the rows mean.
"""
