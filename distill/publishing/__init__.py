"""What leaves stage one: the calibrated encoder and its card, level probabilities of the log, replay, data sets.

All that stage two reads of stage one is written here, in the format of `prectr.shared.encoder`; nothing is trained.
"""
