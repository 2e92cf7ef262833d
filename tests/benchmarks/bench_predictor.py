"""Pixel rate of the predictor beside plain PyTorch, one thread, all in one run.

    python tests/benchmarks/bench_predictor.py [--members 10] [--bins 32] [--rows 65536]

Weights are random in the shape of the published ensemble (12-64-64-64-64-1), or with the bins of a
distribution for outputs: the rate does not depend on their values. Contenders take turns, and the
best round of each counts, so that other load on the machine touches all alike.
"""

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn

from spark_cot.infer.predictor import Predictor
from spark_cot.models.architecture import MLP
from spark_cot.models.bundle import Bundle
from spark_cot.models.classes import Thresholds
from spark_cot.models.posterior import even_posterior
from spark_cot.models.target import Target

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
BATCHES = (512, 1024, 2048, 4096)
Contender = Callable[[], object]


def random_bundle(members: int, bins: int) -> Bundle:
    """A bundle of the published shape, or with ``bins`` outputs."""
    rng = np.random.default_rng(0)
    target = even_posterior(4.0, bins, 64.0) if bins else Target("linear", 50.0)
    architecture = MLP(
        members, (12, 64, 64, 64, 64, bins or 1), output_activation=target.activation
    )
    weights = {
        name: rng.normal(0, 0.15, shape).astype(np.float32)
        for name, shape in architecture.shapes.items()
    }
    statistics = ((0.4,) * 12, (0.3,) * 12)
    thresholds = Thresholds(0.75, 1.25)
    return Bundle("random", architecture, BANDS, *statistics, target, thresholds, weights)


def layers_of(bundle: Bundle) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Weight (members, out, in) and bias (members, out) of each layer."""
    return [
        tuple(torch.tensor(bundle.weights[f"layer{i + 1}.{part}"]) for part in ("weight", "bias"))
        for i in range(bundle.architecture.layers)
    ]


def normalised(bundle: Bundle, x: torch.Tensor, batch: int) -> Iterator[torch.Tensor]:
    """Standardised batches."""
    mean, std = torch.tensor(bundle.means), torch.tensor(bundle.stds)
    return ((part - mean) / std for part in x.split(batch))


def loop_of_networks(bundle: Bundle, x: torch.Tensor, batch: int) -> Contender:
    """One ``nn.Sequential`` after the other, as the published code does."""
    layers = layers_of(bundle)
    networks = []
    for member in range(bundle.architecture.members):
        network = nn.Sequential()
        for weight, bias in layers:
            linear = nn.Linear(weight.shape[2], weight.shape[1])
            linear.load_state_dict({"weight": weight[member], "bias": bias[member]})
            network.extend([linear, nn.ReLU()])
        networks.append(network)

    def run() -> torch.Tensor:
        parts = normalised(bundle, x, batch)
        return torch.cat([sum(network(part) for network in networks) for part in parts])

    return run


def stacked_ensemble(bundle: Bundle, x: torch.Tensor, batch: int) -> Contender:
    """All members by batched products; the mean alone, no spread, no class, no padding."""
    layers = [(weight.mT.contiguous(), bias[:, None, :]) for weight, bias in layers_of(bundle)]

    def forward(part: torch.Tensor) -> torch.Tensor:
        h = part.expand(bundle.architecture.members, -1, -1)
        for weight, bias in layers:
            h = torch.baddbmm(bias, h, weight).relu_()
        return h.mean(dim=0)

    return lambda: torch.cat([forward(part) for part in normalised(bundle, x, batch)])


def contenders(bundle: Bundle, rows: int) -> dict[str, Contender]:
    """Every way to evaluate the same pixels."""
    stored = np.random.default_rng(1).integers(100, 12_000, (rows, 12)).astype(np.int16)
    matrix = (stored / 10_000).astype(np.float32)
    columns = {name: stored[:, i].copy() for i, name in enumerate(BANDS)}
    x = torch.from_numpy(matrix)
    predictor = Predictor(bundle)
    plain = {
        f"{name}, {batch} rows": make(bundle, x, batch)
        for name, make in (("loop", loop_of_networks), ("stacked", stacked_ensemble))
        for batch in BATCHES
    }
    return plain | {
        "Predictor(matrix)": lambda: predictor(matrix),
        "Predictor.from_columns(int16)": lambda: predictor.from_columns(columns),
    }


def main() -> None:
    """Time the contenders in turns and print their rates and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--bins", type=int, default=0)
    parser.add_argument("--rows", type=int, default=65_536)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    runs = contenders(random_bundle(options.members, options.bins), options.rows)
    best = dict.fromkeys(runs, float("inf"))
    with torch.inference_mode():
        for _ in range(options.rounds):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                best[name] = min(best[name], time.perf_counter() - start)
    bare = min(seconds for name, seconds in best.items() if name.startswith("stacked"))
    print(f"{options.members} members, {options.rows} rows, one thread")
    print(f"{'':32}{'kpx/s':>8}{'x best stacked':>16}")
    for name, seconds in best.items():
        print(f"{name:32}{options.rows / seconds / 1e3:8.0f}{bare / seconds:16.2f}")


if __name__ == "__main__":
    main()
