"""Simulated reflectance of the 13 MSI bands under clouds of known optical thickness.

``gas``, ``scattering`` and ``transfer`` hold the physics, ``world`` what is simulated and the laws
it is drawn from. On top of them ``optics`` keeps the tables that everything is looked up in,
``column`` turns states into reflectances, ``sky`` does so for whole scenes under one sky,
``dataset`` makes blocks of the synthetic table from a seed, and ``schema`` names its columns.
``validate`` measures every figure they are held to; ``plots`` draws them. ``bands``, ``csvdata``
and ``numerics`` serve them all.

``transfer.solver`` solves one column of layers and is usable alone. Importing the package itself
costs nothing.
"""
