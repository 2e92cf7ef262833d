"""Tables: schemas declared once, the layout of a workspace, scenes, row groups."""
