"""One writing job at a time: the lease on a workspace.

The lease is the file with the highest number in ``_ledger/lock``. Taking it means making the next
number, which of many callers one can do (`storage.create`), on file systems and object stores
alike; giving it back means writing so into it. A thread renews it while the job runs. A lease is
free when it was given back, when its holder was a process of this machine that is no more, or when
it has not been renewed for `LEASE_SECONDS`; by then the clocks of two machines must agree.
"""

from __future__ import annotations

import _thread
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from spark_cot.errors import WorkspaceError
from spark_cot.storage import create, write_text
from spark_cot.tables.workspace import Workspace

LEASE_SECONDS: Final = 300.0
#: A few renewals may fail before the lease runs out.
_RENEWALS_PER_LEASE: Final = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has the lease.

    Attributes
    ----------
    command : str
        Such as ``run``.
    host : str
    pid : int
    pid_space : str
        PID namespace: containers of one host name do not see each other's processes.
    since, renewed : str
        ISO 8601, UTC.
    released : bool
        Whether the job has ended and given the lease back.
    """

    command: str
    host: str
    pid: int
    pid_space: str
    since: str
    renewed: str
    released: bool = False

    @classmethod
    def this_process(cls, command: str) -> Holder:
        """The calling process, from now on."""
        now = _now()
        return cls(command, socket.gethostname(), os.getpid(), _pid_space(), now, now)

    @property
    def silence(self) -> float:
        """Seconds since the last renewal."""
        return (datetime.now(UTC) - datetime.fromisoformat(self.renewed)).total_seconds()

    def is_gone(self) -> bool:
        """Whether the lease may be taken."""
        here = (self.host, self.pid_space) == (socket.gethostname(), _pid_space())
        crashed = here and not _is_alive(self.pid)
        return self.released or crashed or self.silence > LEASE_SECONDS

    def renew(self) -> Holder:
        """The same holder with a sign of life."""
        return replace(self, renewed=_now())

    def __str__(self) -> str:
        return f"`spark-cot {self.command}`, process {self.pid} on {self.host}, since {self.since}"


@contextmanager
def locked(
    workspace: Workspace, command: str, on_loss: Callable[[], None] = _thread.interrupt_main
) -> Iterator[None]:
    """Hold the lease on ``workspace`` for the time of the block.

    Parameters
    ----------
    workspace : Workspace
    command : str
        What others read who find the workspace locked.
    on_loss : callable
        Called from another thread if the lease was broken or ran out; ends the job by default.

    Raises
    ------
    WorkspaceError
        Another job holds it, or the workspace cannot be written.
    """
    me = Holder.this_process(command)
    try:
        lease = _acquire(workspace, me)
    except OSError as error:
        raise WorkspaceError(f"cannot be written: {error}", str(workspace.root)) from error
    ended = threading.Event()
    arguments = (lease, me, ended, on_loss)
    heart = threading.Thread(target=_keep_renewing, args=arguments, daemon=True)
    heart.start()
    try:
        yield
    finally:
        ended.set()
        heart.join()
        if _is_ours(lease):
            _write(lease, replace(me.renew(), released=True))


def holder(workspace: Workspace) -> Holder | None:
    """The job that holds the lease, None if it is free."""
    _, last = _latest(_folder(workspace))
    return None if last is None or last.is_gone() else last


def _acquire(workspace: Workspace, me: Holder) -> Path:
    folder = _folder(workspace)
    number, last = _latest(folder)
    lease = _path(folder, number + 1)
    if last is not None and not last.is_gone():
        raise _held(workspace, last, _path(folder, number))
    if not create(lease, json.dumps(asdict(me))):
        raise _held(workspace, _read(lease), lease)
    if not _is_ours(lease):  # several jobs came and went since the look at the last one
        lease.unlink()
        return _acquire(workspace, me)
    if last is not None and not last.released:
        log.warning("took over the lock of %s, which is gone", last)
    _path(folder, number).unlink(missing_ok=True)
    return lease


def _keep_renewing(
    lease: Path, me: Holder, ended: threading.Event, on_loss: Callable[[], None]
) -> None:
    while not ended.wait(LEASE_SECONDS / _RENEWALS_PER_LEASE):
        try:
            if not _is_ours(lease):
                log.error("the lock %s was broken or taken over; this job stops", lease)
                on_loss()
                return
            _write(lease, me.renew())
        except OSError as error:  # the next renewal may succeed; if none does the lease runs out
            log.warning("cannot renew the lock %s: %s", lease, error)


def _is_ours(lease: Path) -> bool:
    """Whether the lease is still there and nobody has taken a later one."""
    number, _ = _latest(lease.parent)
    return number == int(lease.stem)


def _latest(folder: Path) -> tuple[int, Holder | None]:
    """Number and holder of the last lease; 0 and None if there never was one."""
    while numbers := [int(path.stem) for path in folder.glob("*.json")]:
        try:
            return max(numbers), _read(_path(folder, max(numbers)))
        except FileNotFoundError:  # a later one has taken its place
            continue
    return 0, None


def _held(workspace: Workspace, by: Holder, lease: Path) -> WorkspaceError:
    return WorkspaceError(
        f"another job is at work in it: {by}, last sign of life {by.silence:.0f} s ago",
        str(workspace.root),
        f"Wait for it to end. If it is gone, its lock is free {LEASE_SECONDS:.0f} s after the last "
        f"sign of life; to break it before, delete {lease}",
    )


def _folder(workspace: Workspace) -> Path:
    return workspace.ledger / "lock"


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:08d}.json"


def _read(lease: Path) -> Holder:
    return Holder(**json.loads(lease.read_text(encoding="utf-8")))


def _write(lease: Path, content: Holder) -> None:
    write_text(lease, json.dumps(asdict(content)))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it lives and belongs to someone else
        return True
    return True


def _pid_space() -> str:
    """Name of the PID namespace, empty where the system has none."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
