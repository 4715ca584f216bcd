"""What both stages' trainings share around transformers' Trainer: batches over several processes, precision, progress.

No model and no loss.
"""
