"""Batches: what the network reads of prepared features, past events and texts.

No parameters and no losses.
"""
