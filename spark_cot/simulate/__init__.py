"""Simulated reflectance of the 13 MSI bands under clouds of known optical thickness.

``transfer.solver`` solves one column of layers and is usable alone; ``dataset`` makes blocks of the
synthetic table from a seed; ``validate`` measures every figure the two are held to; ``plots``
draws them. The rooms in between:

radiative transfer
    ``transfer``
absorption by gases
    ``gas``
scattering
    ``scattering``
what is simulated
    ``world``, ``sky``, ``column``, ``schema``
tables that are computed once
    ``csvdata``, ``bands``, ``optics``

Importing the package itself costs nothing.
"""
