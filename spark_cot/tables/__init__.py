"""Tables: schemas declared once, the layout of a workspace, commits and the ledger."""
