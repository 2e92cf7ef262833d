"""Killed at any write, powered off, unread at any read, half restored: nothing is lost."""

import pytest


@pytest.mark.parametrize(
    ("kind", "cases"), [("kill", 90), ("power", 180), ("read", 150), ("backup", 50)]
)
def test_the_next_run_gives_the_undisturbed_tables(bench, kind: str, cases: int) -> None:
    assert list(bench.faults([kind])) == []
    assert bench.cases[kind] > cases


def test_the_bench_sees_what_is_not_flushed(bench, faults, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults.Disk, "flush", lambda disk, descriptor, path: None)
    monkeypatch.setattr(bench, "every", 40)
    found = list(bench.faults(["power"]))
    assert any(".tif" in fault for fault in found)
