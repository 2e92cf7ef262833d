"""Absorption by gases."""
