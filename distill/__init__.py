"""Stage one: a judge of relevance, distilled into a light text encoder; its rooms in the order data flows.

It ends in a folder on disk, the only thing stage two knows of it; nothing here imports `rank`, or of `data` more than
the contract.
"""
