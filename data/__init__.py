"""Data: the tables' contract, the default data set and the toy shop."""
