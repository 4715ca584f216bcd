"""The log of past events: its columns, indices and slices, and stage one's probabilities of every logged pair.

Here, and only here, is decided what a page may know: events strictly before it. No features and no network.
"""
