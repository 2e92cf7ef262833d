"""Inference: a model bundle becomes an array function, Spark functions and thickness classes."""

from spark_cot.infer.classes import CloudClass, classify
from spark_cot.infer.predictor import Prediction, Predictor

__all__ = ["CloudClass", "Prediction", "Predictor", "classify"]
