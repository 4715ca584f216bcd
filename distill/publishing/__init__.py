"""What leaves stage one: the published folder's model card, level probabilities of the log, and pairs to replay.

All that stage two reads of stage one is written here or in `prectr.shared.encoder`; nothing is trained.
"""
