"""What both stages' trainings share around transformers' Trainer."""
