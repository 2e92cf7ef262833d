"""How a model is trained: everything that decides a training run beside the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from spark_cot.errors import ModelError
from spark_cot.learn.noise import Noise
from spark_cot.models.architecture import MLP
from spark_cot.models.posterior import Posterior, even_posterior
from spark_cot.models.target import Target
from spark_cot.msi import ANGLES, BAND_IDS

#: 32 bins, each 1.2 times as far in COT + 1/4 as the one before; training ends at COT 50.
_POSTERIOR: Final = even_posterior(scale=4.0, bins=32, highest=64.0)
_SENSOR: Final = Noise(level=0.02, gain=0.02, detector=1.0, floor=0.0005)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A model and its training.

    Attributes
    ----------
    name : str
    inputs : tuple[str, ...]
        Bands, then angles, in network order.
    members : int
        Networks of the ensemble.
    hidden : tuple[int, ...]
        Widths of the hidden layers.
    target : Target or Posterior
        What the outputs mean: a distribution, learned by cross-entropy, or a reading, learned by
        squared error.
    balanced : bool
        Weight rows so that clear, thin (below 1.25) and thick count the same; the published
        recipe draws its batches so. A distribution is then no longer that of the table.
    noise : Noise
    batch_rows : int
        Rows per step, over all ranks.
    steps : int
    learning_rate : float
        At its peak; it rises over the first 2 % of the steps and falls with a cosine.
    patience : int
        Stop after so many epochs without a better validation loss.
    seed : int
    """

    name: str
    inputs: tuple[str, ...]
    members: int = 3
    hidden: tuple[int, ...] = (128, 128, 128, 128)
    target: Target | Posterior = _POSTERIOR
    balanced: bool = False
    noise: Noise = _SENSOR
    batch_rows: int = 1024
    steps: int = 36_000
    learning_rate: float = 2e-3
    patience: int = 20
    seed: int = 1

    def __post_init__(self) -> None:
        ordered = self.inputs == (*self.bands, *self.angles)
        if not self.bands or not ordered or len(set(self.inputs)) < len(self.inputs):
            raise ModelError(
                f"inputs {list(self.inputs)} must be bands of {list(BAND_IDS)}, at least one, "
                f"then angles of {list(ANGLES)}, each once",
                f"recipe {self.name}",
            )
        if min(self.members, self.batch_rows, self.steps, self.patience) < 1:
            raise ModelError(
                f"members {self.members}, batch rows {self.batch_rows}, steps {self.steps} and "
                f"patience {self.patience} must be 1 or more",
                f"recipe {self.name}",
            )

    @property
    def bands(self) -> tuple[str, ...]:
        """The inputs that are bands; noise is theirs alone."""
        return tuple(name for name in self.inputs if name in BAND_IDS)

    @property
    def angles(self) -> tuple[str, ...]:
        """The inputs that are angles."""
        return tuple(name for name in self.inputs if name in ANGLES)

    @property
    def architecture(self) -> MLP:
        """Shape of the model."""
        widths = (len(self.inputs), *self.hidden, self.target.outputs[0])
        return MLP(self.members, widths, output_activation=self.target.activation)

    def with_bands(self, bands: Sequence[str]) -> Recipe:
        """The same recipe for other bands; angles stay as they are."""
        return replace(self, inputs=(*bands, *self.angles), name=f"{self.name}-{len(bands)}-bands")

    def document(self) -> dict[str, Any]:
        """The recipe as JSON values: runs of equal documents train the same model."""
        content = asdict(self)
        lists = {"inputs": list(self.inputs), "hidden": list(self.hidden)}
        return content | lists | {"target": self.target.document}


#: All but B01, as in the published models.
_TWELVE: Final = tuple(band for band in BAND_IDS if band != "B01")
_ELEVEN: Final = tuple(band for band in _TWELVE if band != "B10")
#: Also without B09: what harmonised and Level-2-like data have left.
_TEN: Final = tuple(band for band in _ELEVEN if band != "B09")
_SIX: Final = ("B02", "B03", "B04", "B08", "B11", "B12")

#: Pirinen et al. 2024: ten members, COT/50, squared error, 3 % noise, balanced classes. Batches of
#: 32 and a constant rate are replaced by larger ones and a cosine.
_PUBLISHED: Final = Recipe(
    name="published",
    inputs=_TWELVE,
    members=10,
    hidden=(64, 64, 64, 64),
    target=Target("linear", 50.0),
    balanced=True,
    noise=Noise(additive=0.03),
    steps=24_000,
)

#: What `spark-cot train --recipe` knows.
RECIPES: Final = {
    recipe.name: recipe
    for recipe in (
        _PUBLISHED,
        replace(_PUBLISHED, name="published-without-b10", inputs=_ELEVEN),
        Recipe(name="cot12", inputs=(*_TWELVE, *ANGLES)),
        Recipe(name="cot11", inputs=(*_ELEVEN, *ANGLES)),
        Recipe(name="cot10", inputs=(*_TEN, *ANGLES)),
        # Six bands tell cloud from ground less surely, and more noise serves them better.
        Recipe(name="cot6", inputs=(*_SIX, *ANGLES), noise=replace(_SENSOR, level=0.04)),
        # One narrower network that learns from an ensemble (`--teacher`) and costs a fifth of it.
        Recipe(
            name="student",
            inputs=(*_TWELVE, *ANGLES),
            members=1,
            hidden=(96, 96, 96, 96),
            steps=48_000,
        ),
    )
}
