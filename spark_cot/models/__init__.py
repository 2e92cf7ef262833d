"""What a trained model is: its bundle, the shape of its network, target, thresholds, classes."""

from spark_cot.models.architecture import MLP
from spark_cot.models.bundle import Bundle, load_bundle, save_bundle
from spark_cot.models.classes import CloudClass, Thresholds
from spark_cot.models.provenance import Provenance
from spark_cot.models.target import Target

__all__ = [
    "MLP",
    "Bundle",
    "CloudClass",
    "Provenance",
    "Target",
    "Thresholds",
    "load_bundle",
    "save_bundle",
]
