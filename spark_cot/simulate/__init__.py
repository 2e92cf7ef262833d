"""Simulated reflectance of the 13 MSI bands under clouds of known optical thickness.

``solver`` solves one column of layers and is usable alone; ``dataset`` makes blocks of the
synthetic table from a seed; ``validate`` measures every figure the two are held to; ``plots``
draws them. In between: ``atmosphere``, ``gas`` and ``kdistribution`` (absorption), ``mie``,
``droplets``, ``ice`` and ``phase`` (scattering), ``surfaces`` (ground), ``optics`` (all tables,
cached), ``sampler`` (what is drawn), ``absorption``, ``scatterers`` and ``column`` (from states to
13 bands), ``kernel`` and ``doubling`` (radiative transfer). Importing the package costs nothing.
"""
