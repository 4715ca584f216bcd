"""The light encoder: its start, its trainings in order, and the recipe that puts them together.

The folder format it is saved in is shared/encoder/.
"""
