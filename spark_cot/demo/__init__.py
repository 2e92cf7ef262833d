"""The story on simulated scenes."""
