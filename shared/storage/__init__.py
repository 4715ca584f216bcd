"""Tables and arrays that no memory need hold: DuckDB for sorting and distinct values, .npy files written part by part;
and what is said where a disk has no room for them.

Nothing here knows what the rows mean.
"""
