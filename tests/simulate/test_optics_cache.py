import numpy as np

from spark_cot.simulate import optics as module
from spark_cot.simulate.optics import Optics, cache_folder, optics_hash, read_optics, write_optics


def test_tables_survive_the_disk(optics, tmp_path):
    path = tmp_path / "new" / "optics.npz"
    write_optics(optics, path)
    assert [item.name for item in path.parent.iterdir()] == ["optics.npz"]
    for stored, original in zip(read_optics(path), optics, strict=True):
        np.testing.assert_array_equal(stored, original)


def test_absent_and_damaged_files_are_no_tables(optics, tmp_path):
    path = tmp_path / "optics.npz"
    assert read_optics(path) is None
    write_optics(optics, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert read_optics(path) is None
    path.write_bytes(b"")
    assert read_optics(path) is None


def test_tables_damaged_anywhere_are_made_anew(optics, tmp_path, monkeypatch):
    monkeypatch.setenv("SPARK_COT_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "build_optics", lambda: optics)
    path = tmp_path / f"optics-{optics_hash()}.npz"
    write_optics(optics, path)
    whole = path.read_bytes()
    places = [*range(0, 200, 7), len(whole) // 2, *range(len(whole) - 300, len(whole), 11)]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        module.load_optics.cache_clear()
        for stored, original in zip(module.load_optics(), optics, strict=True):
            np.testing.assert_array_equal(stored, original)
    for content in (b"", b"PK", whole[:100], b"\x93NUMPY\x01\x00v\x00{"):
        path.write_bytes(content)
        module.load_optics.cache_clear()
        module.load_optics()
        assert path.read_bytes() == whole
    path.unlink()
    path.mkdir()
    module.load_optics.cache_clear()
    assert module.load_optics() is optics


def test_a_user_without_a_home_has_a_cache_all_the_same(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("SPARK_COT_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(module.Path, "home", homeless)
    assert cache_folder().name == "spark_cot"


def test_a_file_that_lacks_a_table_is_no_tables(optics, tmp_path):
    path = tmp_path / "optics.npz"
    np.savez(path, wavelength=optics.wavelength)
    assert read_optics(path) is None


def test_pickles_are_never_loaded(tmp_path):
    path = tmp_path / "optics.npz"
    arrays = dict.fromkeys(Optics._fields, np.array([{"a": 1}], dtype=object))
    np.savez(path, **arrays)
    assert read_optics(path) is None


def test_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("SPARK_COT_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("SPARK_COT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "spark_cot"


def test_tables_are_computed_once_and_kept(optics, monkeypatch, tmp_path):
    calls = []
    monkeypatch.setenv("SPARK_COT_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "build_optics", lambda: calls.append(1) or optics)
    for _ in range(2):
        module.load_optics.__wrapped__()
    assert len(calls) == 1
    assert (tmp_path / f"optics-{optics_hash()}.npz").is_file()


def test_a_folder_that_cannot_be_written_is_no_error(optics, monkeypatch, tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("SPARK_COT_CACHE", str(blocked))
    monkeypatch.setattr(module, "build_optics", lambda: optics)
    assert module.load_optics.__wrapped__() is optics
    assert "SPARK_COT_CACHE" in caplog.text


def test_tables_have_their_axes(optics):
    assert optics.drop_extinction.shape[:2] == (3, 13)
    assert np.all((optics.drop_albedo > 0.9) & (optics.drop_albedo <= 1))
    np.testing.assert_allclose(optics.drop_moments[..., 0], 1, atol=1e-12)
    for table in optics:
        assert np.isfinite(table).all()
