"""What leaves stage one: the calibrated encoder with its model card, level probabilities of the log, pairs to replay.

All that stage two reads of stage one is written here, in the format of `prectr.shared.encoder`; nothing is trained.
"""
