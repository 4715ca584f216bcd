"""What both trainings share around transformers' Trainer: batches over several processes, device, precision, trackers.

No model and no loss.
"""
