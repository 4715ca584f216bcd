"""What is wrong with a data set's tables, row by row, and what they allow.

Nothing here changes a table; the contract itself is data/contract.py.
"""
