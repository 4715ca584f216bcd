"""The trained ranker in use: one request, a table of impressions, a page explained.

It prepares pages with the code that training uses, so that all see the same thing; nothing is trained here.
"""
