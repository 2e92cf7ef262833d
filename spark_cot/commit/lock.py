"""One writing job at a time: the lease on a workspace.

The lease is the file with the highest number in ``_ledger/lock``. Taking it means making the next
number, which of many callers one can do (`storage.create`), on file systems and object stores
alike; giving it back means writing so into it. A thread renews it while the job runs. A lease is
free when it was given back, when its holder was a process of this machine that is no more, or when
it has not been renewed for `LEASE_SECONDS`. Because clocks of two machines may not agree, a lease
that seems to have run out is watched for a while before it is taken: a living holder renews it.

A lease that cannot be understood, because a disk lost its content or a newer version wrote it in
another form, counts from when its file was last written.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from spark_cot.errors import WorkspaceError
from spark_cot.storage import create, find, listing, read_bytes, write_text
from spark_cot.tables.workspace import Workspace

LEASE_SECONDS: Final = 300.0
#: A few renewals may fail before the lease runs out.
_RENEWALS_PER_LEASE: Final = 5
#: Seconds since the last sign of life from which on the holder's clock is ahead of ours.
_CLOCKS_AGREE: Final = -1.0

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
    boot : str
        Which start of the machine: names of hosts are not unique, and pids are given anew.
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
    boot: str = ""

    @classmethod
    def this_process(cls, command: str) -> Holder:
        """The calling process, from now on."""
        now = _now()
        host, pid_space = socket.gethostname(), _pid_space()
        return cls(command, host, os.getpid(), pid_space, now, now, boot=_boot())

    @classmethod
    def unknown(cls, written: float) -> Holder:
        """Whoever wrote, at that time (POSIX seconds), what cannot be read."""
        when = datetime.fromtimestamp(written, UTC).isoformat(timespec="seconds")
        return cls("?", "an unknown machine", 0, "", when, when)

    @classmethod
    def from_json(cls, content: bytes) -> Holder:
        """The holder that a lease names, without fields of newer versions.

        Raises
        ------
        ValueError, TypeError
            It names none.
        """
        values = dict(json.loads(content))
        known = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        datetime.fromisoformat(known.get("renewed", ""))
        return cls(**known)

    @property
    def silence(self) -> float:
        """Seconds since the last renewal; below 0 where the holder's clock is ahead of this one."""
        return (datetime.now(UTC) - datetime.fromisoformat(self.renewed)).total_seconds()

    def has_ended(self) -> bool:
        """Whether the lease was given back, or its holder, of this machine, is no more."""
        here = (socket.gethostname(), _pid_space(), _boot())
        return self.released or (
            (self.host, self.pid_space, self.boot) == here and not _is_alive(self.pid)
        )

    def is_gone(self) -> bool:
        """Whether the lease is free, as far as the clock of this machine can tell."""
        return self.has_ended() or self.silence > LEASE_SECONDS

    def renew(self) -> Holder:
        """The same holder with a sign of life."""
        return replace(self, renewed=_now())

    def __str__(self) -> str:
        return f"`spark-cot {self.command}`, process {self.pid} on {self.host}, since {self.since}"


#: The leases that this process holds, by the workspace's folder.
_leases: Final[dict[str, Path]] = {}


def interrupt() -> None:
    """Wake the main thread with Ctrl-C, also where it waits for Java or for another thread."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@contextmanager
def locked(
    workspace: Workspace, command: str, on_loss: Callable[[], None] = interrupt
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
        Another job holds it, the workspace cannot be written, or the lease was lost on the way.
    """
    me = Holder.this_process(command)
    with _errors(workspace):
        lease = _acquire(workspace, me)
    ended, lost = threading.Event(), threading.Event()

    def give_up() -> None:
        lost.set()
        on_loss()

    arguments = (lease, me, ended, give_up)
    heart = threading.Thread(target=_keep_renewing, args=arguments, daemon=True)
    heart.start()
    _leases[str(workspace.root)] = lease
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if lost.is_set():
            raise _lost(lease) from error
        raise
    finally:
        ended.set()
        heart.join()
        del _leases[str(workspace.root)]
        _give_back(lease, me)


def lease_on(workspace: Workspace) -> Path | None:
    """The lease that this process holds on ``workspace``."""
    return _leases.get(str(workspace.root))


def held_leases() -> list[Path]:
    """All leases that this process holds."""
    return list(_leases.values())


def check_lease(lease: Path | None) -> None:
    """Raise WorkspaceError unless a lease is still the last one, as before each commit."""
    if lease is not None and not _is_ours(lease):
        raise _lost(lease)


def _lost(lease: Path) -> WorkspaceError:
    return WorkspaceError(
        "this job has lost its lock, which was broken or taken over: it commits nothing more",
        str(lease),
        "See with `spark-cot status` who is at work, and run again",
    )


def holder(workspace: Workspace) -> Holder | None:
    """The job that holds the lease, None if it is free.

    Raises
    ------
    WorkspaceError
        That cannot be read.
    """
    with _errors(workspace):
        _, last = _latest(_folder(workspace))
    return None if last is None or last.is_gone() else last


def _acquire(workspace: Workspace, me: Holder) -> Path:
    folder = _folder(workspace)
    number, last = _latest(folder)
    lease = _path(folder, number + 1)
    if last is not None and not (last.is_gone() and _stays_silent(folder, number, last)):
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


def _stays_silent(folder: Path, number: int, last: Holder) -> bool:
    """Whether a lease that has run out by this machine's clock is not renewed meanwhile."""
    if last.has_ended():
        return True
    seconds = 1.5 * LEASE_SECONDS / _RENEWALS_PER_LEASE
    log.warning("watching for %.0f s whether the lock of %s is renewed", seconds, last)
    time.sleep(seconds)
    return _latest(folder) == (number, last)


def _give_back(lease: Path, me: Holder) -> None:
    try:
        if _is_ours(lease):
            _write(lease, replace(me.renew(), released=True))
    except OSError as error:  # what the job did is done; the lease runs out by itself
        log.warning("cannot give back the lock %s: %s", lease, error)


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
    while numbers := [int(path.stem) for path in find(folder, "*.json") if path.stem.isdecimal()]:
        try:
            return max(numbers), _read(_path(folder, max(numbers)))
        except FileNotFoundError:  # a later one has taken its place
            continue
    return 0, None


def _held(workspace: Workspace, by: Holder, lease: Path) -> WorkspaceError:
    clocks = "Set the clocks of both machines right. " if by.silence < _CLOCKS_AGREE else ""
    return WorkspaceError(
        f"another job is at work in it: {by}, last sign of life {_ago(by.silence)}",
        str(workspace.root),
        f"{clocks}Wait for it to end. If it is gone, its lock is free {LEASE_SECONDS:.0f} s after "
        f"the last sign of life; to break it before, delete {lease}",
    )


def _ago(silence: float) -> str:
    if silence < _CLOCKS_AGREE:
        return f"{-silence:.0f} s ahead of this machine's clock"
    return f"{max(0.0, silence):.0f} s ago"


@contextmanager
def _errors(workspace: Workspace) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise WorkspaceError(
            f"cannot be written: {error}", str(workspace.root), "Make it writable for this user"
        ) from error
    except OSError as error:
        raise WorkspaceError(
            f"its lock cannot be read or written: {error}",
            str(workspace.root),
            "Check that its disk or store works, then run again",
        ) from error


def _folder(workspace: Workspace) -> Path:
    return workspace.ledger / "lock"


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:08d}.json"


def _read(lease: Path) -> Holder:
    content = read_bytes(lease)
    try:
        return Holder.from_json(content)
    except (ValueError, TypeError):
        if (found := listing(lease.parent).get(lease)) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(lease)) from None
        return Holder.unknown(found.modified)


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


def _boot() -> str:
    """Which start of this machine it is, empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _pid_space() -> str:
    """Name of the PID namespace, empty where the system has none."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
