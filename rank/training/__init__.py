"""Losses, the exposure-bias correction and the schedule, put around the network by transformers' Trainer.

Nothing here judges: that is evaluation/.
"""
