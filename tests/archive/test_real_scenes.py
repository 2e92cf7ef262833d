"""The main job on real scenes with the published ensemble."""

from pathlib import Path

import duckdb
import pytest

#: Median COT at 10 m that the ensemble's publishers' weights give, from the data's own README.
MEDIANS = {
    "S2A_T33TVM_20150820T100728": 1.68,
    "S2A_T33TVM_20150909T100017": 0.172,
    "S2A_T30SXH_20190918T105031": 0.126,
    "S2A_T31TCJ_20240120T105341": 0.33,
    "S2B_T31TCJ_20240305T104819": 16.2,
}


def test_median_thickness_is_the_published_one(shared: Path, tmp_path: Path, cot_command) -> None:
    weights = shared / "reference" / "cot_mlp5_12band_ensemble.npz"
    model, out = tmp_path / "reference", tmp_path / "workspace"
    assert cot_command("model", "import", weights, "--out", model)[0] == 0
    options = ("--out", out, "--model", model, "--resolution", 10)
    code, text = cot_command("run", shared / "data" / "safe", *options)
    assert code == 0, text
    query = f"SELECT scene_id, median(cot) FROM '{out}/cot/**/*.parquet' GROUP BY ALL"
    with duckdb.connect() as connection:
        found = dict(connection.sql(query).fetchall())
    assert found == {scene: pytest.approx(cot, rel=0.05) for scene, cot in MEDIANS.items()}
    assert len(list(out.rglob("quicklook.png"))) == len(MEDIANS)
