"""The flags of `python -m data convert`, format by format; nothing here loads what converts."""
