"""How Spark does it."""
