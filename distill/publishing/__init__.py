"""The published folder: model card, stored level probabilities and the pairs that stage two replays.

What stage two knows of stage one is written here.
"""
