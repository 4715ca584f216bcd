"""Comparisons with other systems and of the ranker with itself, over seeds; nothing imports this package."""
