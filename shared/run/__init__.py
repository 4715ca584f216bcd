"""How any command runs: settings, steps and their fingerprints, checkpoints, several processes, the terminal.

Nothing here knows what a step computes.
"""
