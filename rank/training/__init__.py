"""How the network learns: losses, the exposure-bias loss with its hard negatives, the schedule of batches, the Trainer.

Nothing here judges a ranker: that is `evaluation`.
"""
