"""What is wrong with a data set's tables, every defect at once, and what they allow.

Nothing here changes a table; which columns there are is the contract's business.
"""
