import numpy as np
import pytest
import torch
from torch import nn

from spark_cot.infer.predictor import Predictor
from spark_cot.learn.network import Ensemble
from spark_cot.models.architecture import MLP
from spark_cot.models.bundle import Bundle

ARCHITECTURE = MLP(3, (5, 16, 8, 2))


def linear_stack(network: Ensemble, member: int) -> nn.Sequential:
    """One member as PyTorch's own layers."""
    layers: list[nn.Module] = []
    tensors = network.tensors()
    for layer in range(1, ARCHITECTURE.layers + 1):
        weight = torch.tensor(tensors[f"layer{layer}.weight"][member])
        linear = nn.Linear(weight.shape[1], weight.shape[0])
        linear.weight.data = weight
        linear.bias.data = torch.tensor(tensors[f"layer{layer}.bias"][member])
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def test_members_are_stacks_of_linear_layers() -> None:
    network = Ensemble(ARCHITECTURE, seed=1)
    x = torch.randn(3, 50, 5, generator=torch.Generator().manual_seed(2))
    found = network(x)
    assert found.shape == (3, 50, 2)
    assert (found < 0).any()  # no activation at the end
    for member in range(3):
        torch.testing.assert_close(found[member], linear_stack(network, member)(x[member]))


def test_gradients_are_those_of_linear_layers() -> None:
    network = Ensemble(ARCHITECTURE, seed=1)
    x = torch.randn(3, 50, 5, generator=torch.Generator().manual_seed(2))
    network(x).square().sum().backward()
    stack = linear_stack(network, 1)
    stack(x[1]).square().sum().backward()
    torch.testing.assert_close(network.weights[0].grad[1], stack[0].weight.grad.T)
    torch.testing.assert_close(network.biases[2].grad[1, 0], stack[4].bias.grad)


def test_initial_weights_are_those_of_linear_layers_and_differ() -> None:
    network = Ensemble(MLP(4, (100, 50, 1)), seed=1)
    weight = network.weights[0].detach()
    assert float(weight.abs().max()) <= 0.1  # 1 / sqrt(100)
    # The variance of a uniform deviate within +-a is a^2 / 3.
    assert float(weight.var()) == pytest.approx(0.01 / 3, rel=0.05)
    assert float(network.biases[0].detach().abs().max()) <= 0.1
    members = [weight[i].flatten() for i in range(4)]
    assert torch.corrcoef(torch.stack(members)).fill_diagonal_(0).abs().max() < 0.1
    assert torch.equal(weight, Ensemble(MLP(4, (100, 50, 1)), seed=1).weights[0])
    assert not torch.equal(weight, Ensemble(MLP(4, (100, 50, 1)), seed=2).weights[0])


@pytest.mark.parametrize("kind", ["single_bundle", "posterior_bundle"])
def test_a_bundle_becomes_a_network_and_again_the_bundle(
    kind: str, request: pytest.FixtureRequest
) -> None:
    bundle: Bundle = request.getfixturevalue(kind)
    tensors = Ensemble.of(bundle).tensors()
    assert tensors.keys() == bundle.weights.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(tensor, bundle.weights[name], strict=True)


@pytest.mark.parametrize("kind", ["single_bundle", "double_bundle"])
def test_the_network_of_a_bundle_says_what_the_predictor_says(
    kind: str, request: pytest.FixtureRequest
) -> None:
    bundle: Bundle = request.getfixturevalue(kind)
    rng = np.random.default_rng(1)
    features = rng.normal(bundle.means, bundle.stds, (200, len(bundle.inputs))).astype(np.float32)
    features = features.clip(bundle.envelope.low, bundle.envelope.high).astype(np.float32)
    x = (torch.from_numpy(features) - torch.tensor(bundle.means)) / torch.tensor(bundle.stds)
    outputs = Ensemble.of(bundle)(x.expand(bundle.architecture.members, -1, -1))
    cot = bundle.target.cot(outputs[..., 0].clamp(min=0).detach().numpy()).mean(axis=0)
    found = Predictor(bundle)(features).cot
    assert np.count_nonzero(found) > 50
    np.testing.assert_allclose(found, cot, rtol=1e-5, atol=1e-5)
