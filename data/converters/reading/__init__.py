"""Rows of strings from any file: opened, decoded and parsed strictly; what cannot be read names its line."""
