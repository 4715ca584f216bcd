"""PCOC: predicted click-through over observed."""
