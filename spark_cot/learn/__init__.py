"""Models: bundles and importers. Nothing here imports Spark."""

from spark_cot.learn.bundle import Bundle, load, save
from spark_cot.learn.model import MLP, Target, Thresholds

__all__ = ["MLP", "Bundle", "Target", "Thresholds", "load", "save"]
