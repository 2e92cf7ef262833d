"""How a table comes to be and stays whole."""
