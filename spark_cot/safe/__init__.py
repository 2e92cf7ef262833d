"""Sentinel-2 L1C products: discover, parse, read calibrated blocks, and write."""

from typing import TYPE_CHECKING

from spark_cot import lazy

if TYPE_CHECKING:
    from spark_cot.safe.downsampling import Downsampling as Downsampling
    from spark_cot.safe.layout import blocks as blocks
    from spark_cot.safe.layout import scene_grid as scene_grid
    from spark_cot.safe.mosaic import Mosaic as Mosaic
    from spark_cot.safe.mosaic import common_grid as common_grid
    from spark_cot.safe.mosaic import read_mosaic as read_mosaic
    from spark_cot.safe.read import BlockPixels as BlockPixels
    from spark_cot.safe.read import nothing_valid as nothing_valid
    from spark_cot.safe.read import read_block as read_block
    from spark_cot.safe.scene import Scene as Scene
    from spark_cot.safe.scene import check_images as check_images
    from spark_cot.safe.scene import open_scene as open_scene
    from spark_cot.safe.scene import view_angles as view_angles
    from spark_cot.safe.search import Discovery as Discovery
    from spark_cot.safe.search import GranuleRef as GranuleRef
    from spark_cot.safe.search import ProductPath as ProductPath
    from spark_cot.safe.search import discover as discover
    from spark_cot.safe.search import scenes_of as scenes_of
    from spark_cot.safe.spec import ProductSpec as ProductSpec
    from spark_cot.safe.strips import Strip as Strip
    from spark_cot.safe.tree import PassedOver as PassedOver
    from spark_cot.safe.write import flat_bands as flat_bands
    from spark_cot.safe.write import native_shape as native_shape
    from spark_cot.safe.write import write_product as write_product

__getattr__ = lazy(
    __name__,
    {
        "Discovery": "spark_cot.safe.search",
        "GranuleRef": "spark_cot.safe.search",
        "ProductPath": "spark_cot.safe.search",
        "discover": "spark_cot.safe.search",
        "scenes_of": "spark_cot.safe.search",
        "Downsampling": "spark_cot.safe.downsampling",
        "blocks": "spark_cot.safe.layout",
        "scene_grid": "spark_cot.safe.layout",
        "Mosaic": "spark_cot.safe.mosaic",
        "common_grid": "spark_cot.safe.mosaic",
        "read_mosaic": "spark_cot.safe.mosaic",
        "BlockPixels": "spark_cot.safe.read",
        "nothing_valid": "spark_cot.safe.read",
        "read_block": "spark_cot.safe.read",
        "Scene": "spark_cot.safe.scene",
        "check_images": "spark_cot.safe.scene",
        "open_scene": "spark_cot.safe.scene",
        "view_angles": "spark_cot.safe.scene",
        "Strip": "spark_cot.safe.strips",
        "PassedOver": "spark_cot.safe.tree",
        "ProductSpec": "spark_cot.safe.spec",
        "flat_bands": "spark_cot.safe.write",
        "native_shape": "spark_cot.safe.write",
        "write_product": "spark_cot.safe.write",
    },
)
