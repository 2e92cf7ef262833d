"""`predict` on every form of pixels gives the numbers of the COT table to the last bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from spark_cot import predict
from spark_cot.analysis.workspace import WorkspaceReader
from spark_cot.errors import ModelError, SetupError
from spark_cot.infer.predictor import Prediction
from spark_cot.models import Thresholds, load_bundle, save_bundle
from spark_cot.models.shipped import shipped_model
from spark_cot.msi import ANGLES, BAND_IDS

FIRST = "S2A_T31TCJ_20240305T104819"
OUTPUTS = list(Prediction._fields)
COT6 = load_bundle(shipped_model("cot6"))
INPUTS = list(load_bundle(shipped_model("student")).inputs)


@pytest.fixture(scope="module")
def pixels(workspace: WorkspaceReader) -> pa.Table:
    return workspace.pixels(scene=FIRST).arrow()


@pytest.fixture(scope="module")
def stored(workspace: WorkspaceReader) -> dict[str, np.ndarray]:
    """Columns of the COT table of the same pixels."""
    table = workspace.cot(scene=FIRST).arrow()
    return {name: table.column(name).to_numpy() for name in OUTPUTS}


def assert_bits(found: Any, expected: dict[str, np.ndarray]) -> None:
    for name, values in expected.items():
        result = np.asarray(found[name])
        assert result.dtype == values.dtype
        assert result.shape == values.shape
        assert np.array_equal(result, values, equal_nan=values.dtype.kind == "f"), name


def columns(pixels: pa.Table) -> dict[str, np.ndarray]:
    return {name: pixels.column(name).to_numpy() for name in INPUTS}


def reflectances(pixels: pa.Table) -> dict[str, np.ndarray]:
    """The inputs as floats."""
    divisors = {name: np.float32(10_000) for name in BAND_IDS}
    return {
        name: values / divisors.get(name, np.float32(1)) for name, values in columns(pixels).items()
    }


def test_an_arrow_table_gives_a_table(pixels: pa.Table, stored: dict) -> None:
    found = predict(pixels)
    assert found.column_names == OUTPUTS
    assert_bits({name: found.column(name).to_numpy() for name in OUTPUTS}, stored)
    batch = pixels.combine_chunks().to_batches()[0]
    assert predict(batch).equals(found)


def test_a_frame_gives_a_frame_with_its_index(pixels: pa.Table, stored: dict) -> None:
    frame = pixels.to_pandas().set_index(["row", "col"])
    found = predict(frame)
    assert list(found) == OUTPUTS
    assert found.index.equals(frame.index)
    assert_bits(found, stored)


def test_columns_of_any_shape_keep_it(pixels: pa.Table, stored: dict) -> None:
    n = pixels.num_rows // 6 * 6
    image = {name: values[:n].reshape(2, 3, -1) for name, values in columns(pixels).items()}
    found = predict(image)
    assert isinstance(found, Prediction)
    assert_bits(found._asdict(), {name: v[:n].reshape(2, 3, -1) for name, v in stored.items()})


def test_one_array_has_the_inputs_on_the_axis_that_is_said(pixels: pa.Table, stored: dict) -> None:
    n = pixels.num_rows // 2 * 2
    rows = np.stack(list(reflectances(pixels).values()), axis=1)[:n]
    assert_bits(predict(rows)._asdict(), {name: v[:n] for name, v in stored.items()})
    image = rows.T.reshape(len(INPUTS), 2, -1)
    expected = {name: v[:n].reshape(2, -1) for name, v in stored.items()}
    assert_bits(predict(image, axis=0)._asdict(), expected)
    assert_bits(predict(np.moveaxis(image, 0, 1), axis=1)._asdict(), expected)
    assert_bits(predict(np.moveaxis(image, 0, -1))._asdict(), expected)


def test_a_dataset_gives_a_dataset_with_its_coordinates(workspace: WorkspaceReader) -> None:
    xr = pytest.importorskip("xarray", reason="xarray comes with the newest environment")
    cube = workspace.pixels(tile="31TCJ").xarray()
    found = predict(cube)
    expected = workspace.cot(tile="31TCJ").xarray()
    xr.testing.assert_equal(found, expected)
    assert {n: v.dtype for n, v in found.items()} == {n: v.dtype for n, v in expected.items()}
    assert found.cot.attrs == expected.cot.attrs
    assert found.cot.encoding == expected.cot.encoding
    one_angle = cube.assign({angle: float(cube[angle].mean()) for angle in ANGLES})
    filled = cube.assign({a: xr.full_like(cube[a], float(cube[a].mean())) for a in ANGLES})
    xr.testing.assert_equal(predict(one_angle), predict(filled))
    with pytest.raises(ModelError, match=r"is a xarray.*DataArray, expected .*to_dataset"):
        predict(cube.B04)


def test_a_single_number_stands_for_all_pixels() -> None:
    rng = np.random.default_rng(3)
    bands = {band: rng.integers(0, 9000, (4, 5)) for band in COT6.bands}
    angles = {"sun_zenith": 40.0, "view_zenith": 5, "relative_azimuth": np.float32(120)}
    found = predict({**bands, **angles}, "cot6")
    full = {name: np.full((4, 5), value, np.float32) for name, value in angles.items()}
    assert found.cot.shape == (4, 5)
    assert_bits(found._asdict(), predict({**bands, **full}, "cot6")._asdict())


def missing_values(values: dict[str, np.ndarray], form: str) -> Any:
    """The first pixel's B02 missing, in the ways of the libraries."""
    missing = np.arange(len(values["B02"])) == 0
    if form == "arrow":
        return pa.table(
            {n: pa.array(v, mask=missing if n == "B02" else None) for n, v in values.items()}
        )
    if form == "pandas":
        frame = pd.DataFrame(values).convert_dtypes()
        frame.loc[0, "B02"] = pd.NA
        return frame
    if form == "masked array":
        matrix = np.ma.array(np.stack(list(values.values()), axis=1))
        matrix[0, list(values).index("B02")] = np.ma.masked
        return matrix
    b02 = values["B02"] / np.float32(10_000)
    b02[0] = np.nan
    return values | {"B02": b02}


@pytest.mark.parametrize("form", ["arrow", "pandas", "masked array", "NaN"])
def test_missing_inputs_make_a_pixel_nodata(form: str, pixels: pa.Table) -> None:
    whole = {
        n: v[:40] if n in BAND_IDS else np.rint(v[:40]).astype(int)
        for n, v in columns(pixels).items()
    }
    expected = predict(whole)._asdict()
    expected["cot"][0] = expected["cot_std"][0] = np.nan
    expected["p_thin"][0] = expected["p_thick"][0] = -1
    expected["cloud_class"][0] = 0
    expected["outside"][0] = False
    found = predict(missing_values(whole, form))
    found = found._asdict() if isinstance(found, Prediction) else found
    assert_bits({name: np.asarray(found[name]) for name in OUTPUTS}, expected)
    assert np.isfinite(expected["cot"][1:]).all()


def test_models_go_by_name_folder_and_bundle(pixels: pa.Table, tmp_path: Path, monkeypatch) -> None:
    few = pixels.slice(0, 50)
    expected = predict(few, "cot6")
    assert not expected.equals(predict(few))
    folder = save_bundle(COT6, tmp_path / "student")
    for model in (COT6, folder, str(folder)):
        assert predict(few, model).equals(expected)
    monkeypatch.chdir(tmp_path)
    assert predict(few, "student").equals(expected), "a folder goes before a name that ships"


def test_thresholds_change_classes_and_probabilities_alone(pixels: pa.Table) -> None:
    default = predict(pixels)
    cot = default.column("cot").to_numpy()
    thin, thick = (float(q) for q in np.quantile(cot[cot > 0], [0.3, 0.6]))
    for limits in ((thin, thick), Thresholds(thin, thick)):
        found = predict(pixels, thresholds=limits)
        for name in ("cot", "cot_std", "outside"):
            assert found.column(name).equals(default.column(name))
        classes = 1 + (cot >= np.float32(thin)).astype(np.int8) + (cot >= np.float32(thick))
        assert np.array_equal(found.column("cloud_class").to_numpy(), classes)
        assert set(classes) == {1, 2, 3}
        p_thin, p_thick = (found.column(name).to_numpy() for name in ("p_thin", "p_thick"))
        assert (p_thin >= p_thick).all()
        assert (p_thin > p_thick).any()


def ones(*shape: int) -> dict[str, np.ndarray]:
    return {name: np.full(shape, 0.5, np.float32) for name in COT6.inputs}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "columns .* are missing, present are"),
        (pd.DataFrame(ones(2)).drop(columns="B11"), "columns \\['B11'\\] are missing"),
        (pa.table(ones(2)).drop(["B11"]), "columns \\['B11'\\] are missing"),
        (ones(2) | {"B03": np.zeros(3)}, "one shape"),
        (ones(2) | {"B03": np.array(["a", "b"])}, "B03 is <U1, expected integers or floats"),
        (ones(2) | {"B03": np.array([0.1, 4231.0])}, "B03 is float64 and holds 4231.*Divide it"),
        (np.zeros((9, 4)), "shape \\(9, 4\\), expected 9 inputs along axis -1"),
        (np.zeros(()), "expected 9 inputs"),
        ([[0.1] * 9], "data is a builtins.list, expected"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_unfit_data_is_refused(data: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        predict(data, "cot6")


def test_an_infinite_band_is_nodata_and_not_refused() -> None:
    found = predict(ones(2) | {"B03": np.array([np.inf, 0.5])}, "cot6")
    assert np.isnan(found.cot[0])
    assert np.isfinite(found.cot[1])


def test_unknown_models_and_devices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model 'pupil' ships, there are \\['student'"):
        predict(ones(2), "pupil")
    with pytest.raises(ModelError, match=r"model.json cannot be read"):
        predict(ones(2), tmp_path / "nothing")
    with pytest.raises(SetupError, match="device 'tpu'"):
        predict(ones(2), "cot6", device="tpu")
