import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax
from scipy.stats import laplace

from spark_cot.errors import ModelError, SetupError
from spark_cot.grid import Window
from spark_cot.infer.predictor import Prediction, Predictor
from spark_cot.models.bundle import Bundle
from spark_cot.models.classes import CloudClass, Thresholds
from spark_cot.models.envelope import Guard
from spark_cot.models.importers import import_model
from spark_cot.models.posterior import Posterior, even_posterior
from spark_cot.models.target import MAX_LOG_SCALE, Target
from spark_cot.msi import BAND_IDS
from spark_cot.safe import discover, open_scene, read_block, scene_grid, scenes_of

MakeBundle = Callable[..., Bundle]


def reflectances(rows: int, bands: int, seed: int = 1) -> NDArray[np.float32]:
    """Dark to bright pixels whose bands go together, as those of real scenes do."""
    rng = np.random.default_rng(seed)
    brightness = rng.lognormal(-1.2, 0.9, (rows, 1))
    spectra = brightness * np.exp(rng.normal(0, 0.25, (rows, bands)))
    return np.clip(spectra, 0, 3).astype(np.float32)


def inside(bundle: Bundle, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features as the network sees them, inside the envelope."""
    features = np.ascontiguousarray(x.T)
    Guard(bundle.envelope, bundle.inputs, bundle.means, bundle.stds)(features)
    return features.T


def scene_columns(product: Path) -> dict[str, NDArray[np.int16]]:
    """Bands of all valid 10 m pixels of a product, as in the pixel table."""
    scene = open_scene(scenes_of(discover(product).products[0])[0])
    grid = scene_grid(scene, 10)
    window = Window(0, 0, *grid.shape)
    stored, valid, _ = read_block(scene, grid, window).tile(window)
    return dict(zip(BAND_IDS, stored[:, valid], strict=True))


def numpy_members(bundle: Bundle, x: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """COT of each member, ``(members, n)``: layer by layer, in plain NumPy."""
    x = (x.astype(dtype) - np.array(bundle.means, dtype)) / np.array(bundle.stds, dtype)
    outputs = []
    for member in range(bundle.architecture.members):
        h = x
        for layer in range(1, bundle.architecture.layers + 1):
            weight = bundle.weights[f"layer{layer}.weight"][member].astype(dtype)
            bias = bundle.weights[f"layer{layer}.bias"][member].astype(dtype)
            h = np.maximum(h @ weight.T + bias, 0)
        outputs.append(h[:, 0])
    y, scale = np.stack(outputs), bundle.target.scale
    return np.expm1(y) / scale if bundle.target.kind == "log1p" else y * scale


def assert_close(
    found: NDArray[Any], expected: NDArray[Any], least: float, bound: float = 1e-5
) -> None:
    """Relative difference at most ``bound`` where COT is above ``least``, and absolute below.

    A COT is 50 times a difference of terms near 1, so float32 resolves about 1e-6 of it and no
    relative bound can hold down to zero: NumPy in float32 and in float64 differ as much.
    """
    difference = np.abs(found - expected) / np.maximum(np.abs(expected), least)
    assert difference.max() <= bound


def assert_identical(found: Prediction, expected: Prediction) -> None:
    for left, right in zip(found, expected, strict=True):
        assert left.dtype == right.dtype
        assert left.tobytes() == right.tobytes()


@pytest.fixture(scope="module")
def reference(shared: Path) -> Bundle:
    return import_model(shared / "reference" / "cot_mlp5_12band_ensemble.npz")


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 1e-5), (np.float64, 2e-5)])
def test_the_reference_ensemble_on_spectra_of_all_kinds(
    reference: Bundle, dtype: Any, bound: float
) -> None:
    x = inside(reference, reflectances(20_000, 12))
    found, expected = Predictor(reference)(x), numpy_members(reference, x, dtype)
    assert 0.5 < np.median(found.cot) < 2
    assert_close(found.cot, expected.mean(axis=0), 1.0, bound)
    assert_close(found.cot_std, expected.std(axis=0), 1.0, 2e-5)


@pytest.mark.parametrize(
    ("scene", "median"), [("20150820", 1.69), ("20150909", 0.172), ("20190918", 0.126)]
)
def test_the_reference_ensemble_on_real_scenes(
    reference: Bundle, shared: Path, scene: str, median: float
) -> None:
    columns = scene_columns(next((shared / "data" / "safe").glob(f"*_{scene}T*")))
    found = Predictor(reference).from_columns(columns)
    x = np.stack([columns[name] / 10_000 for name in reference.inputs], axis=1).astype(np.float32)
    single, double = (
        numpy_members(reference, x, kind).mean(axis=0) for kind in (np.float32, np.float64)
    )
    assert np.median(found.cot) == pytest.approx(median, rel=0.02)
    # How far float32 is from the truth depends on the processor; NumPy shows how far on this one.
    rounding = np.abs(single - double) / np.maximum(double, 0.1)
    assert rounding.max() < 5e-5
    assert_close(found.cot, double, 0.1, bound=1.25 * rounding.max())


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("hidden", [(), (16,), (32, 8, 24)])
@pytest.mark.parametrize("target", [Target("linear", 2.0), Target("log1p", 4.0)])
def test_any_shape_and_target_against_numpy(
    make_bundle: MakeBundle, members: int, hidden: tuple[int, ...], target: Target
) -> None:
    bundle = make_bundle(members, ("B03", "B10", "sun_zenith"), hidden, target)
    x = inside(bundle, reflectances(700, 3) * np.array([1, 1, 60], np.float32))
    found, expected = Predictor(bundle)(x), numpy_members(bundle, x, np.float64)
    np.testing.assert_allclose(found.cot, expected.mean(axis=0), rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(found.cot_std, expected.std(axis=0), rtol=1e-5, atol=2e-6)
    for percent, limit in ((found.p_thin, 0.75), (found.p_thick, 1.25)):
        near = (np.abs(expected - limit) < 1e-4).any(axis=0)
        share = 100 * (expected >= limit).mean(axis=0)
        np.testing.assert_array_equal(percent[~near], np.rint(share)[~near])


def numpy_outputs(bundle: Bundle, x: NDArray[Any]) -> NDArray[Any]:
    """Outputs ``(members, n, outputs)`` as they leave the last layer, in float64."""
    x = (x - np.array(bundle.means)) / np.array(bundle.stds)
    found = []
    for member in range(bundle.architecture.members):
        h, last = x, bundle.architecture.layers
        for layer in range(1, last + 1):
            weight, bias = (bundle.weights[f"layer{layer}.{kind}"] for kind in ("weight", "bias"))
            h = h @ weight[member].T.astype(np.float64) + bias[member]
            h = h if layer == last else np.maximum(h, 0)
        found.append(h)
    return np.stack(found)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("target", [Target("linear", 2.0), Target("log1p", 4.0)])
def test_predicted_errors_add_to_the_spread(
    make_bundle: MakeBundle, members: int, target: Target
) -> None:
    bundle = make_bundle(members, ("B03", "B10", "sun_zenith"), (16,), target, outputs=2)
    x = inside(bundle, reflectances(700, 3) * np.array([1, 1, 60], np.float32))
    found, outputs = Predictor(bundle)(x), numpy_outputs(bundle, x)
    y = np.maximum(outputs[..., 0], 0)
    linear = target.kind == "linear"
    cot = y * target.scale if linear else np.expm1(y) / target.scale
    slope = target.scale if linear else np.exp(y) / target.scale
    # A Laplace deviate of scale b has the variance 2 b^2.
    own = 2 * np.exp(2 * np.minimum(outputs[..., 1], MAX_LOG_SCALE)) * slope**2
    np.testing.assert_allclose(found.cot, cot.mean(axis=0), rtol=1e-5, atol=2e-6)
    expected = np.sqrt(cot.var(axis=0) + own.mean(axis=0))
    np.testing.assert_allclose(found.cot_std, expected, rtol=1e-4)
    assert (found.cot_std > 0).all()
    scale = np.exp(np.minimum(outputs[..., 1], MAX_LOG_SCALE))
    for percent, limit in ((found.p_thin, 0.75), (found.p_thick, 1.25)):
        share = laplace.sf(float(target.output(np.float32(limit))), y, scale).mean(axis=0)
        np.testing.assert_allclose(percent, 100 * share, atol=0.51)


def test_a_predicted_error_beyond_all_bounds_is_large_not_nodata(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(2, ("B02", "B03"), (), Target("linear", 2.0), outputs=2)
    weights = {name: tensor.copy() for name, tensor in bundle.weights.items()}
    weights["layer1.bias"][:, 1] = 1e4
    found = Predictor(replace(bundle, weights=weights))(inside(bundle, reflectances(50, 2)))
    expected = math.sqrt(2) * math.exp(MAX_LOG_SCALE) * 2
    assert np.isfinite(found.cot).all()
    np.testing.assert_allclose(found.cot_std, expected, rtol=1e-2)


POSTERIOR = Posterior(4.0, (0.0, 0.1, 0.4, 1.0, 4.0, 60.0))
EVEN = even_posterior(4.0, 32, 64.0)


def half_clear(bundle: Bundle, x: NDArray[Any]) -> Bundle:
    """The bundle with the first logit moved so that half of the rows are more likely clear."""
    outputs = numpy_outputs(bundle, x)
    move = np.median(logsumexp(outputs[..., 1:], axis=2) - outputs[..., 0], axis=1)
    name = f"layer{bundle.architecture.layers}.bias"
    bias = bundle.weights[name].copy()
    bias[:, 0] += move.astype(np.float32)
    return replace(bundle, weights=bundle.weights | {name: bias})


def spread_out(probabilities: NDArray[Any], points: int = 2000) -> tuple[NDArray[Any], ...]:
    """COTs, ascending, and the share of one row's distribution that each stands for; float64."""
    edges = np.log1p(4 * np.array(POSTERIOR.knots))
    parts = (np.arange(points) + 0.5) / points
    inside = edges[:-1, None] + np.diff(edges)[:, None] * parts
    shares = np.repeat(probabilities[1:] / points, points)
    return np.append(0, np.expm1(inside) / 4), np.append(probabilities[0], shares)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("hidden", [(), (16,), (32, 8, 24)])
def test_a_distribution_against_sums_over_many_points(
    make_bundle: MakeBundle, members: int, hidden: tuple[int, ...]
) -> None:
    bundle = make_bundle(members, ("B03", "B10", "sun_zenith"), hidden, POSTERIOR)
    x = inside(bundle, reflectances(200, 3) * np.array([1, 1, 60], np.float32))
    bundle = half_clear(bundle, x)
    found = Predictor(bundle, Thresholds(0.3, 2.0))(x)
    probabilities = softmax(numpy_outputs(bundle, x), axis=2).mean(axis=0)
    np.testing.assert_allclose(
        Predictor(bundle).probabilities(x), probabilities.T, rtol=1e-4, atol=1e-6
    )
    for i, row in enumerate(probabilities):
        cots, shares = spread_out(row)
        median = cots[np.searchsorted(np.cumsum(shares), 0.5)]
        assert found.cot[i] == pytest.approx(median, rel=3e-3, abs=1e-4)
        std = np.sqrt((shares * np.square(cots - found.cot[i])).sum())
        assert found.cot_std[i] == pytest.approx(std, rel=2e-3, abs=1e-4)
        for percent, limit in ((found.p_thin, 0.3), (found.p_thick, 2.0)):
            assert percent[i] == pytest.approx(100 * shares[cots >= limit].sum(), abs=0.6)
    clear = probabilities[:, 0] > 0.5
    assert 0 < clear.sum() < len(x)
    assert not found.cot[clear].any()


def test_thin_is_where_its_probability_is_one_half(make_bundle: MakeBundle) -> None:
    x = reflectances(5000, 12)
    found = Predictor(half_clear(make_bundle(2, target=EVEN), x), Thresholds(0.3, 2.0))(x)
    for percent, lowest in ((found.p_thin, CloudClass.THIN), (found.p_thick, CloudClass.THICK)):
        above = found.cloud_class >= lowest
        assert 0 < above.sum() < len(above)
        assert (percent[above] >= 50).all()
        assert (percent[~above] <= 50).all()


@pytest.mark.parametrize(("bin_", "cot"), [(0, 0.0), (2, 0.2270), (5, 15.752)])
def test_a_certain_network_is_certain(make_bundle: MakeBundle, bin_: int, cot: float) -> None:
    bundle = make_bundle(2, ("B02", "B03"), (), POSTERIOR)
    weights = {name: tensor.copy() for name, tensor in bundle.weights.items()}
    weights["layer1.bias"][:, bin_] = 1e6
    found = Predictor(replace(bundle, weights=weights))(inside(bundle, reflectances(50, 2)))
    np.testing.assert_allclose(found.cot, cot, rtol=1e-3)
    assert set(found.p_thin) == {100 if cot > 0.75 else 0}
    low, high = POSTERIOR.knots[max(bin_ - 1, 0)], POSTERIOR.knots[bin_]
    np.testing.assert_array_less(found.cot_std, (high - low) / 2 + 1e-6)


ROWS = 2300


@pytest.fixture(scope="module")
def predictor(bundle: Bundle) -> Predictor:
    return Predictor(bundle)


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.float32]:
    return reflectances(ROWS, 12)


@pytest.fixture(scope="module")
def whole(predictor: Predictor, pixels: NDArray[np.float32]) -> Prediction:
    return predictor(pixels)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, ROWS), max_size=6).map(sorted))
def test_results_do_not_depend_on_how_rows_are_split(
    predictor: Predictor, pixels: NDArray[np.float32], whole: Prediction, cuts: list[int]
) -> None:
    parts = [
        predictor(pixels[start:stop]) for start, stop in zip([0, *cuts], [*cuts, ROWS], strict=True)
    ]
    joined = Prediction(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    assert_identical(joined, whole)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, ROWS))
def test_results_do_not_depend_on_the_order_of_rows(
    predictor: Predictor,
    pixels: NDArray[np.float32],
    whole: Prediction,
    seed: int,
    rows: int,
) -> None:
    order = np.random.default_rng(seed).permutation(ROWS)[:rows]
    assert_identical(predictor(pixels[order]), Prediction(*(column[order] for column in whole)))


@pytest.mark.parametrize("hidden", [(64, 64, 64, 64), (32, 32), ()])
def test_a_single_member_is_as_independent_of_order(
    make_bundle: MakeBundle, hidden: tuple[int, ...]
) -> None:
    predictor = Predictor(make_bundle(1, hidden=hidden, target=Target("log1p", 4.0)))
    x = reflectances(9001, 12)
    order = np.random.default_rng(3).permutation(len(x))
    whole = predictor(x)
    assert_identical(predictor(x[order]), Prediction(*(column[order] for column in whole)))
    assert not whole.cot_std.any()


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("hidden", [(64, 64, 64, 64), (24,), ()])
def test_a_distribution_is_as_independent_of_order_and_neighbours(
    make_bundle: MakeBundle, members: int, hidden: tuple[int, ...]
) -> None:
    predictor = Predictor(make_bundle(members, hidden=hidden, target=EVEN))
    x = reflectances(9001, 12)
    order = np.random.default_rng(3).permutation(len(x))[:7003]
    whole = predictor(x)
    assert_identical(predictor(x[order]), Prediction(*(column[order] for column in whole)))
    for start, stop in ((0, 1), (17, 5000), (8999, 9001)):
        alone = predictor(x[start:stop])
        assert_identical(alone, Prediction(*(column[start:stop] for column in whole)))


def test_two_threads_give_the_same_distribution(
    make_bundle: MakeBundle, pixels: NDArray[np.float32]
) -> None:
    bundle = make_bundle(1, target=EVEN)
    assert_identical(Predictor(bundle, threads=2)(pixels), Predictor(bundle)(pixels))


def test_a_model_of_readings_has_no_distribution(
    predictor: Predictor, pixels: NDArray[np.float32]
) -> None:
    with pytest.raises(ModelError, match="predicts no distribution"):
        predictor.probabilities(pixels)


def test_two_threads_give_the_same_and_are_given_back(
    bundle: Bundle, pixels: NDArray[np.float32], whole: Prediction
) -> None:
    before = torch.get_num_threads()
    assert_identical(Predictor(bundle, threads=2)(pixels), whole)
    assert torch.get_num_threads() == before


def test_every_stored_integer_is_the_reflectance_it_stands_for(make_bundle: MakeBundle) -> None:
    predictor = Predictor(make_bundle(2, ("B02", "B11"), (16,)))
    stored = np.arange(-(2**15), 2**15).astype(np.int16)
    real = stored / 10_000
    of_integers = predictor.from_columns({"B02": stored, "B11": stored[::-1]})
    for columns in (
        {"B02": real, "B11": real[::-1]},
        {"B02": real.astype(np.float32), "B11": stored[::-1].astype(np.int64)},
    ):
        assert_identical(predictor.from_columns(columns), of_integers)
    matrix = np.stack([real, real[::-1]], axis=1).astype(np.float32)
    assert_identical(predictor(matrix), of_integers)


def test_columns_are_taken_by_name(
    predictor: Predictor, pixels: NDArray[np.float32], whole: Prediction
) -> None:
    columns = dict(zip(predictor.bundle.inputs, pixels.T, strict=True))
    shuffled = {"B01": pixels[:, 0] * 9, **dict(reversed(columns.items()))}
    assert_identical(predictor.from_columns(shuffled), whole)


def test_integer_angles_are_degrees(make_bundle: MakeBundle) -> None:
    predictor = Predictor(make_bundle(2, ("B02", "sun_zenith"), (16,)))
    band, angle = np.full(5, 0.2, np.float32), np.arange(30, 35)
    assert_identical(
        predictor.from_columns({"B02": band, "sun_zenith": angle}),
        predictor.from_columns({"B02": band, "sun_zenith": angle.astype(np.float32)}),
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_bad_value_makes_only_its_own_row_nodata(
    predictor: Predictor, pixels: NDArray[np.float32], whole: Prediction, value: float
) -> None:
    spoiled = pixels.copy()
    spoiled[::97, 5] = value
    found = predictor(spoiled)
    bad = np.arange(ROWS) % 97 == 0
    assert np.isnan(found.cot[bad]).all()
    assert np.isnan(found.cot_std[bad]).all()
    assert (found.p_thin[bad] == -1).all()
    assert (found.p_thick[bad] == -1).all()
    assert (found.cloud_class[bad] == CloudClass.NODATA).all()
    assert not found.outside[bad].any()
    assert_identical(
        Prediction(*(column[~bad] for column in found)),
        Prediction(*(column[~bad] for column in whole)),
    )


def test_a_prediction_that_runs_away_is_thick_not_nodata(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(2, ("B02", "B03"), (), Target("log1p", 4.0))
    weights = {name: tensor.copy() for name, tensor in bundle.weights.items()}
    weights["layer1.bias"][:] = 1e4
    found = Predictor(replace(bundle, weights=weights))(reflectances(50, 2))
    assert np.isfinite(found.cot_std).all()
    assert (found.cot == 1e6).all()
    assert (found.cloud_class == CloudClass.THICK).all()
    assert (found.p_thick == 100).all()


def test_far_outside_is_marked_uncertain_and_no_nodata(make_bundle: MakeBundle) -> None:
    predictor = Predictor(make_bundle(3, ("B02", "B03"), (16,)))
    near = np.array([[0.5, 0.5]], np.float32)
    whites = np.outer([1.25, 2, 3, 3.2, 3.3, 6.5535, 1e30], [1, 1]).astype(np.float32)
    found = predictor(np.concatenate([*[near] * 9, whites]))
    assert not found.outside[:10].any()
    assert found.outside[10:].all()
    assert (found.cot[10:] == found.cot[10]).all()
    assert (np.diff(found.cot_std[9:]) > 0).sum() == len(whites) - 1
    assert np.isfinite(found.cot_std).all()


FRACTIONS = {"B02": np.array([0.3, 0.31, 0.4]), "B03": np.array([0.2, np.nan, 0.1])}


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_counts_as_fractions_are_refused(make_bundle: MakeBundle, kind: Any) -> None:
    predictor = Predictor(make_bundle(2, ("B02", "B03"), (16,)))
    counts = (10_000 * FRACTIONS["B03"]).astype(kind)
    message = r"B03 is float\d\d with the median 1500.* Divide by 10000, or cast to an integer type"
    with pytest.raises(ModelError, match=message):
        predictor.from_columns(FRACTIONS | {"B03": counts})
    assert np.isfinite(predictor.from_columns(FRACTIONS).cot[[0, 2]]).all()


def test_reflectance_as_integers_is_refused(make_bundle: MakeBundle) -> None:
    predictor = Predictor(make_bundle(2, ("B02", "B03"), (16,)))
    cut = {"B02": np.array([0, 1, 0]), "B03": np.array([1, 1, 0])}
    with pytest.raises(ModelError, match=r"integers of 0 and 1 hold no reflectance.* as float"):
        predictor.from_columns(cut)
    with pytest.raises(ModelError, match="integers of 0 and 1"):
        predictor.from_columns({name: np.float32(values / 10_000) for name, values in cut.items()})
    assert np.isfinite(predictor.from_columns(cut | {"B02": np.array([0, 1, 2])}).cot).all()


def test_classes_follow_the_given_thresholds(
    bundle: Bundle, pixels: NDArray[np.float32], whole: Prediction
) -> None:
    thin, thick = np.quantile(whole.cot, [0.3, 0.6])
    found = Predictor(bundle, Thresholds(thin, thick))(pixels)
    assert (found.cot == whole.cot).all()
    np.testing.assert_allclose(np.bincount(found.cloud_class) / ROWS, [0, 0.3, 0.3, 0.4], atol=0.01)


def test_no_rows_give_no_rows(predictor: Predictor) -> None:
    found = predictor(np.empty((0, 12), np.float32))
    assert [len(column) for column in found] == [0] * 6
    expected = [np.float32, np.float32, np.int8, np.int8, np.int8, np.bool_]
    assert [column.dtype for column in found] == expected


def test_missing_columns_are_named_beside_those_present(predictor: Predictor) -> None:
    columns = {name: np.zeros(3) for name in predictor.bundle.inputs if name != "B10"}
    with pytest.raises(ModelError, match=r"\['B10'\] are missing, present are \['B02', .*'B12'\]"):
        predictor.from_columns(columns)


def test_columns_that_are_no_numbers_or_of_other_lengths(predictor: Predictor) -> None:
    columns = {name: np.zeros(3) for name in predictor.bundle.inputs}
    with pytest.raises(ModelError, match="B04 is <U1, expected integers or floats"):
        predictor.from_columns(columns | {"B04": np.array(["a", "b", "c"])})
    with pytest.raises(ModelError, match="must have one length"):
        predictor.from_columns(columns | {"B04": np.zeros(4)})


def test_a_matrix_of_another_width(predictor: Predictor) -> None:
    with pytest.raises(ModelError, match=r"shape \(3, 13\), expected \(n, 12\)"):
        predictor(np.zeros((3, 13), np.float32))


@pytest.mark.parametrize("device", ["tpu", "cuda"])
def test_a_device_that_is_absent(
    bundle: Bundle, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SetupError, match=rf"'{device}' is not available.*\['cpu'\]"):
        Predictor(bundle, device=device)
