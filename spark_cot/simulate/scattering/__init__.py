"""Scattering by air, droplets, ice and aerosol."""
