"""Bad scenes are listed with their reason and the others finish; bad requests say what is wrong."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_cot.commit.ledger import LedgerEntry
from spark_cot.commit.log import Log
from spark_cot.msi import BANDS
from spark_cot.safe import ProductSpec, flat_bands, native_shape, write_product
from spark_cot.tables.workspace import Workspace


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.rglob(pattern)
    return found


def truncate(product: Path, pattern: str, share: float = 0.5) -> None:
    path = only(product, pattern)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def bomb(product: Path) -> None:
    entities = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
    path = only(product, "MTD_MSIL1C.xml")
    head, body = path.read_text().split("\n", 1)
    path.write_text(head + entities + body)


def without_offsets(product: Path) -> None:
    path = only(product, "MTD_MSIL1C.xml")
    lines = [line for line in path.read_text().splitlines() if "RADIO_ADD_OFFSET" not in line]
    path.write_text("\n".join(lines))


def other_satellite(product: Path) -> None:
    path = only(product, "MTD_MSIL1C.xml")
    path.write_text(path.read_text().replace("Sentinel-2A", "Sentinel-9Z"))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated JP2": (lambda p: truncate(p, "*_B03.jp2"), "B03"),
    "missing band": (lambda p: only(p, "*_B10.jp2").unlink(), "B10"),
    "no image": (lambda p: only(p, "*_B8A.jp2").write_text("not an image"), "B8A"),
    "XML cut short": (lambda p: truncate(p, "MTD_TL.xml"), "MTD_TL.xml"),
    "entity bomb": (bomb, "MTD_MSIL1C.xml"),
    "missing MTD_TL.xml": (lambda p: only(p, "MTD_TL.xml").unlink(), "MTD_TL.xml"),
    "no offsets": (without_offsets, "RADIO_ADD_OFFSET"),
    "unknown satellite": (other_satellite, "Sentinel-9Z"),
}


def test_every_bad_scene_is_listed_and_the_others_finish(
    tmp_path: Path, add: Callable[..., Path], cot_command
) -> None:
    archive, out = tmp_path / "archive", tmp_path / "out"
    sources = {}
    for number, (what, (damage, _)) in enumerate(DAMAGE.items()):
        sources[what] = add(archive, 3 * number, baseline="05.10", tile="31TCJ")
        damage(sources[what])
    escaping = archive / "S2A_MSIL1C_20240101T104819_N0510_R051_T31TCJ_20240101T125347.zip"
    with zipfile.ZipFile(escaping, "w") as file:
        file.writestr("../../escaped.txt", "out")
    good = [add(archive, number) for number in (1, 2)]
    code, text = cot_command("ingest", archive, "--out", out, "--max-failure-ratio", 1)
    assert code == 1
    facts = json.loads(only(out / "reports", "*.json").read_text())
    reasons = {failure["source"]: failure["reason"] for failure in facts["failures"]}
    assert set(reasons) == {str(escaping), *map(str, sources.values())}
    for what, (_, named) in DAMAGE.items():
        assert named in reasons[str(sources[what])], what
        assert reasons[str(sources[what])] in text
    assert "unexpected" not in text
    assert facts["states"]["done"] == len(good)
    assert len(Workspace.open(out).scenes()) == len(good)
    assert not (tmp_path / "escaped.txt").exists()
    assert not list((out / "_parts").rglob("*.part"))


def test_a_truncated_image_fails_its_scene_only_and_a_repaired_one_is_taken(
    tmp_path: Path, archive: Path, add, cot_command
) -> None:
    out = tmp_path / "out"
    product = only(archive, "S2A*.SAFE")
    band = only(product, "*_B03.jp2")
    whole = band.read_bytes()
    band.write_bytes(whole[: len(whole) // 2])
    code, text = cot_command("ingest", archive, "--out", out)
    assert code == 1
    assert "2 done, 0 skipped, 1 failed" in text
    assert "B03" in text
    band.write_bytes(whole)
    code, text = cot_command("ingest", archive, "--out", out)
    assert code == 0
    assert "1 done, 2 skipped, 0 failed" in text


def test_an_all_nodata_scene_fails_by_name(tmp_path: Path, cot_command) -> None:
    bands = {band.id: np.zeros(native_shape(band.id, 960), np.uint16) for band in BANDS}
    write_product(tmp_path / "archive", bands)
    code, text = cot_command("ingest", tmp_path / "archive", "--out", tmp_path / "out")
    assert code == 1
    assert "no pixel is valid in all 13 bands" in text
    assert not list((tmp_path / "out" / "pixels").rglob("*.parquet"))


def test_a_dead_band_is_named(tmp_path: Path, cot_command) -> None:
    bands = flat_bands(0.2) | {"B10": np.zeros(native_shape("B10", 960), np.uint16)}
    write_product(tmp_path / "archive", bands)
    _, text = cot_command("ingest", tmp_path / "archive", "--out", tmp_path / "out")
    assert "no pixel is valid in all 13 bands: B10 of nothing but nodata" in text
    assert "swath" not in text


def test_what_could_not_be_looked_at_is_told_and_its_scenes_are_not_gone(
    tmp_path: Path, archive: Path, add, cot_command
) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "[/x]"
    add(elsewhere, 3)
    (archive / "disk2").symlink_to(elsewhere)
    (archive / "S2A_MSIL2A_20240120T105341_N0510_R051_T31TCJ_20240120T125244.SAFE").mkdir()
    code, text = cot_command("ingest", archive, "--out", out)
    assert (code, "4 done" in text, "passed over 1 that are no" in text) == (0, True, True)
    elsewhere.rename(tmp_path / "unmounted")
    code, text = cot_command("reprocess", archive, "--out", out, "--dry-run")
    assert f"{archive}/disk2  not seen" in text
    assert "gone" not in text
    code, text = cot_command("ingest", archive, "--out", out)
    assert code == 1
    assert f"not seen {archive}/disk2: a link, and its end cannot be read: No such file" in text
    told = json.loads(max((out / "reports").glob("*.json")).read_text())["passed_over"]
    assert {Path(item["path"]).name[:10]: item["unseen"] for item in told} == {
        "disk2": True,
        "S2A_MSIL2A": False,
    }


def test_the_latest_generation_of_a_scene_wins(tmp_path: Path, add, cot_command) -> None:
    archive, out = tmp_path / "archive", tmp_path / "out"
    add(archive, 0, baseline="02.08")
    add(archive, 0)
    code, text = cot_command("ingest", archive, "--out", out)
    assert code == 0
    assert "1 done, 0 skipped, 0 failed, 1 superseded" in text
    (scene,) = Workspace.open(out).scenes()
    assert scene.baseline == "05.10"
    again = ProductSpec().generation_time + timedelta(days=300)
    add(archive, 0, generation_time=again)
    assert cot_command("ingest", archive, "--out", out)[0] == 0
    (scene,) = Workspace.open(out).scenes()
    assert again.strftime("%Y%m%dT%H%M%S") in scene.product


def test_damage_that_decodes_is_found_in_a_zip_file_and_a_sound_copy_used(
    tmp_path: Path, add, cot_command
) -> None:
    archive, out = tmp_path / "archive", tmp_path / "out"
    damaged = add(archive / "a", 0, zipped=True)
    add(archive / "b", 0)
    with zipfile.ZipFile(damaged) as file:
        image = next(member for member in file.infolist() if member.filename.endswith("_B03.jp2"))
    with damaged.open("r+b") as file:
        file.seek(image.header_offset + image.compress_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    code, text = cot_command("ingest", archive, "--out", out)
    assert code == 1
    assert "_B03.jp2" in text and "Bad CRC-32" in text
    code, text = cot_command("ingest", archive, "--out", out)
    assert code == 0
    (scene,) = Workspace.open(out).scenes()
    assert scene.source.startswith(str(archive / "b"))
    assert "1 skipped" in cot_command("ingest", archive, "--out", out)[1]


def report_of(out: Path) -> dict:
    return json.loads(max((out / "reports").glob("*.json")).read_text())


def test_an_older_generation_serves_while_the_newest_is_damaged(
    tmp_path: Path, model: Path, add, cot_command
) -> None:
    archive, out = tmp_path / "archive", tmp_path / "out"
    add(archive, 0, baseline="02.08")
    newest = add(archive, 0)
    band = only(newest, "*_B03.jp2")
    whole = band.read_bytes()
    band.write_bytes(whole[: len(whole) // 2])
    code, text = cot_command("run", archive, "--out", out, "--model", model)
    assert (code, "ingest: 1 done, 0 skipped, 1 failed" in text) == (1, True), text
    assert "products: 1 done" in text
    assert "Until it is repaired an older generation is taken" in text
    (scene,) = Workspace.open(out).scenes()
    assert scene.baseline == "02.08"
    told = report_of(out)
    assert told["failures"][0]["source"] == str(newest)
    assert "older generation is taken" in told["failures"][0]["reason"]
    code, text = cot_command("run", archive, "--out", out)
    assert (code, "ingest: 0 done, 1 skipped, 1 failed" in text) == (1, True), text
    assert "products: 0 done, 1 skipped" in text
    code, text = cot_command("reprocess", archive, "--out", out, "--retry-failed", 1)
    assert "given-up" in text and "An older generation serves" in text
    assert Workspace.open(out).scenes() == [scene]
    band.write_bytes(whole)
    code, text = cot_command("reprocess", archive, "--out", out, "--retry-failed", 0)
    assert (code, "ingest: 1 done, 0 skipped, 0 failed" in text) == (0, True), text
    (scene,) = Workspace.open(out).scenes()
    assert scene.baseline == "05.10"
    code, text = cot_command("run", archive, "--out", out)
    assert (code, "ingest: 0 done, 1 skipped, 0 failed, 1 superseded" in text) == (0, True), text
    assert json.loads(cot_command("status", out, "--json")[1])["failures"] == []


def test_a_report_is_complete_and_keyed_by_source(tmp_path: Path, add, cot_command) -> None:
    archive, out = tmp_path / "archive", tmp_path / "out"
    add(archive / "a", 0)
    add(archive / "b", 0)
    broken = [add(archive / name, 1) for name in ("a", "b")]
    for product in broken:
        only(product, "MTD_MSIL1C.xml").write_text("<damaged")
    for command, count in (("ingest", 1), ("reprocess", 2)):
        given = ["--retry-failed", 5] if command == "reprocess" else []
        code, text = cot_command(command, archive, "--out", out, "--max-failure-ratio", 1, *given)
        assert (code, "2 failed, 1 superseded" in text) == (1, True), text
        told = report_of(out)
        assert (told["states"]["failed"], told["states"]["superseded"]) == (2, 1)
        assert {item["source"] for item in told["failures"]} == set(map(str, broken))
        failed = [scene for scene in told["scenes"] if scene["state"] == "failed"]
        assert {scene["source"] for scene in failed} == set(map(str, broken))
        stage = told["stages"][0]
        assert (stage["failed"], stage["superseded"]) == (2, 1)
        page = max((out / "reports").glob("*.html")).read_text()
        assert '<b>1</b><span class="faint">superseded' in page
        assert '<b>2</b><span class="faint">failed' in page
        (attempts,) = {entry.attempt for entry in failures(out)}
        assert attempts == count


def failures(out: Path) -> list[LedgerEntry]:
    entries = Log(Workspace.open(out)).entries("ingest").values()
    return [entry for entry in entries if entry.state == "failed"]


def test_a_changed_scene_replaces_the_old_rows_whole(
    tmp_path: Path, archive: Path, model: Path, add, cot_command
) -> None:
    out = tmp_path / "out"
    assert cot_command("run", archive, "--out", out, "--model", model)[0] == 0
    old = next((out / "pixels").rglob("S2A*.parquet")).read_bytes()
    shutil.rmtree(only(archive, "S2A*.SAFE"))
    add(archive, 0, cloud_cover=50.0, sun=(30.0, 150.0))
    code, text = cot_command("run", archive, "--out", out, "--model", model)
    assert code == 0
    for stage in ("ingest", "apply", "products"):
        assert f"{stage}: 1 done, 2 skipped" in text
    (new,) = (out / "pixels").rglob("S2A*.parquet")
    assert new.read_bytes() != old
    assert pq.read_table(new)["sun_zenith"].to_pandas().median() == pytest.approx(30)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ingest", "{empty}", "--out", "{out}"), "no Sentinel-2 L1C product found"),
        (("ingest", "{missing}", "--out", "{out}"), "no such file or folder"),
        (("run", "{empty}", "--out", "{out}", "--model", "{missing}"), "{missing}"),
        (("apply", "{empty}", "--model", "{model}"), "is not a spark_cot workspace"),
        (("products", "{missing}"), "is not a spark_cot workspace"),
        (("model", "show", "{empty}"), "model.json"),
        (("ingest", "{empty}", "--out", "{out}", "--resolution", "30"), "'30' is not one of"),
        (("ingest", "{empty}", "--out", "{out}", "--conf", "spark.x"), "no Spark property"),
        (("ingest", "{empty}", "--config", "{missing}"), "cannot be read"),
    ],
)
def test_a_bad_request_is_one_message_and_exit_code_2(
    tmp_path: Path, model: Path, cot_command, arguments: tuple[str, ...], message: str
) -> None:
    places = {name: str(tmp_path / name) for name in ("empty", "missing", "out")}
    (tmp_path / "empty").mkdir()
    places["model"] = str(model)
    code, text = cot_command(*(argument.format(**places) for argument in arguments))
    assert code == 2
    assert message.format(**places) in text
    assert "Traceback" not in text


def test_a_table_of_another_schema_is_refused(
    tmp_path: Path, archive: Path, model: Path, cot_command
) -> None:
    out = tmp_path / "out"
    Workspace.create(out, 20)
    path = out / "pixels" / "tile=31TCJ" / "date=2024-01-01" / "x.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"B01": pa.array([1], pa.int32())}), path)
    code, text = cot_command("ingest", archive, "--out", out)
    assert code == 2
    assert "not a spark_cot pixels table: missing scene_id" in text


def test_a_damaged_pixel_file_fails_its_scene_in_apply(
    tmp_path: Path, archive: Path, model: Path, cot_command
) -> None:
    out = tmp_path / "out"
    assert cot_command("ingest", archive, "--out", out)[0] == 0
    broken = sorted((out / "pixels").rglob("*.parquet"))[-1]
    broken.write_bytes(broken.read_bytes()[:-100])
    code, text = cot_command("apply", out, "--model", model)
    assert (code, "2 done, 0 skipped, 1 failed" in text) == (1, True), text


def test_a_model_that_asks_for_a_missing_column_is_refused(
    tmp_path: Path, archive: Path, model: Path, cot_command
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(model, damaged)
    document = json.loads((damaged / "model.json").read_text())
    document["inputs"][0]["column"] = "B99"
    (damaged / "model.json").write_text(json.dumps(document))
    code, text = cot_command("run", archive, "--out", tmp_path / "out", "--model", damaged)
    assert code == 2
    assert "B99" in text


def test_config_files_give_defaults_and_name_unknown_options(
    tmp_path: Path, archive: Path, cot_command
) -> None:
    config = tmp_path / "ingest.yaml"
    config.write_text(f"out: {tmp_path / 'out'}\nresolution: 60\ndownsampling: level\n")
    code, text = cot_command("ingest", archive, "--config", config)
    assert code == 0, text
    assert Workspace.open(tmp_path / "out").resolution == 60
    config.write_text("resolutoin: 60\n")
    code, text = cot_command("ingest", archive, "--out", tmp_path / "out", "--config", config)
    assert code == 2
    assert "resolutoin: unknown option, did you mean resolution?" in text
