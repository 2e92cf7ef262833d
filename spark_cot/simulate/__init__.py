"""Simulated reflectance of the 13 MSI bands under clouds of known optical thickness."""
