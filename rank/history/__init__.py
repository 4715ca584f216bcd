"""The log of past events, its indices and its slices. Here, and only here, is decided what a page may have known.

Nothing in it sees an event at or after the page's own time.
"""
