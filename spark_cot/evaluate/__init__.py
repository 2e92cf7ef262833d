"""What a run came to: the report."""
