"""The published encoder: the network that compares two texts, and the folder it is saved in and opened from.

This folder is the only thing between the two stages; how it is trained is theirs.
"""
