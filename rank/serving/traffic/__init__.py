"""What people did with what was served: pages as they were answered, which `absorb` makes rows of the tables and
`compare` asks which of two rankers was better.
"""
