"""What people read: tables in the terminal, the report's page, the model card.

Figures come from metrics.json and charts from the stored predictions; no model is opened here.
"""
