"""The default data set, made of The Complete Journey: queries, pages, pairs and tables in the order they are built.

This shop's own knowledge (phrasebook, sizes, needs) may stand here and nowhere else.
"""
