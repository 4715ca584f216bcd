"""What leaves stage one: the calibrated encoder with its card, and data sets of labels and pairs.

All that stage two reads of stage one is the encoder's folder, in the format of `prectr.shared.encoder`; nothing is
trained here.
"""
