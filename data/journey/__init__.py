"""The default data set, made of The Complete Journey: queries, pages, pairs and tables, in the order of `build.py`.

What is known of this shop alone (phrasebook, package sizes, needs) stands here and nowhere else.
"""
