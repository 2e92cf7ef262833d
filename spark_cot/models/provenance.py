"""How the thickness of a scene came about."""

from __future__ import annotations

from dataclasses import dataclass

from spark_cot.models.classes import Thresholds


@dataclass(frozen=True, slots=True)
class Provenance:
    """How a scene product was made.

    Attributes
    ----------
    model : str
        Name of the model bundle.
    model_hash : str
        Hash of the bundle.
    thresholds : Thresholds
        COT at 550 nm from which a pixel is thin and from which it is thick cloud.
    mask_above : float, optional
        Largest COT kept in the masked reflectance, None if there is none.
    """

    model: str
    model_hash: str
    thresholds: Thresholds
    mask_above: float | None = None
