"""What people look at: tables in the terminal, the report's page and the model card.

Every figure comes from metrics.json; none is computed here.
"""
