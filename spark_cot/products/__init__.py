"""Scene products: COGs, quicklook and STAC item of every scene, for people with a GIS."""
