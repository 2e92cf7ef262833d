"""What a trained model is: its bundle, the shape of its network, target, thresholds, classes."""

from typing import TYPE_CHECKING

from spark_cot import lazy

if TYPE_CHECKING:
    from spark_cot.models.architecture import MLP as MLP
    from spark_cot.models.bundle import Bundle as Bundle
    from spark_cot.models.bundle import load_bundle as load_bundle
    from spark_cot.models.bundle import save_bundle as save_bundle
    from spark_cot.models.classes import CloudClass as CloudClass
    from spark_cot.models.classes import Thresholds as Thresholds
    from spark_cot.models.envelope import Envelope as Envelope
    from spark_cot.models.posterior import Posterior as Posterior
    from spark_cot.models.provenance import Provenance as Provenance
    from spark_cot.models.target import Target as Target

__getattr__ = lazy(
    __name__,
    {
        "MLP": "spark_cot.models.architecture",
        "Bundle": "spark_cot.models.bundle",
        "load_bundle": "spark_cot.models.bundle",
        "save_bundle": "spark_cot.models.bundle",
        "CloudClass": "spark_cot.models.classes",
        "Thresholds": "spark_cot.models.classes",
        "Posterior": "spark_cot.models.posterior",
        "Envelope": "spark_cot.models.envelope",
        "Provenance": "spark_cot.models.provenance",
        "Target": "spark_cot.models.target",
    },
)
