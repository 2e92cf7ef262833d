"""Simulated reflectance of the 13 MSI bands under clouds of known optical thickness.

``solver`` solves one column of layers and is usable alone; ``dataset`` makes blocks of the
synthetic table from a seed; ``validate`` measures every figure the two are held to; ``plots``
draws them. The rooms in between:

radiative transfer
    ``kernel``, ``doubling``, ``quadrature``, ``compiled``
absorption by gases
    ``atmosphere``, ``gas``, ``kdistribution``, ``absorption``
scattering
    ``phase``, ``mie``, ``droplets``, ``ice``, ``scatterers``
what is simulated
    ``states``, ``sampler``, ``surfaces``, ``column``, ``schema``
scenes
    ``fractal``, ``landscape``, ``sky``, ``demo_scenes``
tables
    ``csvdata``, ``bands``, ``lookup``, ``optics``

Importing the package itself costs nothing.
"""
