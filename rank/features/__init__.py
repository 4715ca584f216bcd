"""What is known of an impression before the network sees it: hand-made features, counts, history slices, feature map.

Computed once and written to files that are read memory-mapped; the past is seen through `history` alone, and nothing
here is learnt by gradient.
"""
