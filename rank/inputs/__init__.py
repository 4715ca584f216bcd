"""From prepared sets to the network's batches: pages, past events, texts and their tokens, replay.

Nothing here has parameters that learn, and no loss is computed. Which pages make a batch is decided in `training`.
"""
