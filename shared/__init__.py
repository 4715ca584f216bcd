"""What both stages need: how a command runs, the published encoder, storage, training, metrics, seeds, errors.

Nothing here imports a stage, or knows a table of the contract.
"""
