"""Training: streams of rows, recipes and the loop. Nothing here imports Spark."""
