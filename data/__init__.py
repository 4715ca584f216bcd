"""Data: the contract of the tables, and whatever fills them: converters, the default data set, the toy shop.

Both stages know the contract and the check of it, and nothing else of this package.
"""
