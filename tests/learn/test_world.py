import pytest
import torch

from spark_cot.errors import TrainingError
from spark_cot.learn.world import World, joined


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_a_process_without_a_launcher_is_a_world() -> None:
    with joined() as world:
        assert world == World()
        assert world.is_first
        assert world.total(torch.tensor(3.0)) == 3
        world.wait()


def test_ranks_that_cannot_meet_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    message = r"2 ranks cannot find each other.*Check MASTER_ADDR"
    with pytest.raises(TrainingError, match=message), joined():
        pytest.fail("a rank without a world")


def test_a_rank_without_a_gpu_of_its_own_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    message = "process 2 of this machine finds 1 GPUs, and needs its own. Use one rank per GPU"
    with pytest.raises(TrainingError, match=message), joined():
        pytest.fail("two ranks on one GPU")


def test_cores_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(6)))
    assert [World(local_size=size).threads for size in (1, 2, 4, 9)] == [6, 3, 1, 1]


def test_bfloat16_where_it_is_asked_for() -> None:
    x = torch.ones(2, 2)
    for precision, kind in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        with World().autocast(precision):
            assert (x @ x).dtype == kind
    with World().autocast("auto"):  # on CPUs bf16 saves nothing
        assert (x @ x).dtype == torch.float32
