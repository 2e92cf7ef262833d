"""Inference: a model bundle becomes an array function, Spark functions and thickness classes."""
