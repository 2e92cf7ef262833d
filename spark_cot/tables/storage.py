"""Exclusive creation of files, for the tables' locks."""

from spark_cot.storage import create

__all__ = ["create"]
