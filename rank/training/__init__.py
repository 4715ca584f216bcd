"""How the network learns: losses, the teacher of engagement, the exposure-bias loss with its hard negatives, the order
of batches, the Trainer, the gradients of the text encoder.

Nothing here judges a ranker: that is `evaluation`.
"""
