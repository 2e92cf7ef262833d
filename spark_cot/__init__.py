"""Cloud optical thickness of every pixel of Sentinel-2 L1C archives, on Apache Spark."""

from importlib.metadata import version

__version__ = version("spark-cot")
