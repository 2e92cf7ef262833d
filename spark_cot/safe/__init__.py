"""Sentinel-2 L1C products: discover, parse, read calibrated blocks, and write."""

from spark_cot.safe.discover import GranuleRef, ProductPath, discover, scenes_of
from spark_cot.safe.layout import blocks, scene_grid
from spark_cot.safe.read import BlockPixels, Downsampling, read_block
from spark_cot.safe.scene import Scene, check_images, latest_generation, open_scene, view_angles
from spark_cot.safe.spec import ProductSpec
from spark_cot.safe.write import flat_bands, native_shape, write_product

__all__ = [
    "BlockPixels",
    "Downsampling",
    "GranuleRef",
    "ProductPath",
    "ProductSpec",
    "Scene",
    "blocks",
    "check_images",
    "discover",
    "flat_bands",
    "latest_generation",
    "native_shape",
    "open_scene",
    "read_block",
    "scene_grid",
    "scenes_of",
    "view_angles",
    "write_product",
]
