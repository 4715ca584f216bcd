"""A trained ranker in use: scoring a request or a table, and explaining a page."""
