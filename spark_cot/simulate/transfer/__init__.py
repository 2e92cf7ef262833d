"""Radiative transfer through one column of layers."""
