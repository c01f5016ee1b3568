"""Runs a program as somebody whom PostgreSQL accepts, and ends it with its parent: imported, and run as a script.

PostgreSQL refuses root, and a user without a name. A child process of its own takes the other identity: that works with
threads in the parent, where code between fork and exec would not, and it is the last to speak before exec. As a script
it sees the standard library only, and little of that, since it stands before every start.
"""

import ctypes  # before the change of user, who may not be able to read it
import os
import pwd
import signal
import sys
from typing import NamedTuple

NOT_POSSIBLE = 125
NOT_REACHABLE = (126, 127)

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1


class Identity(NamedTuple):
    """Who runs the program: `same` as now, `namespace` (now outside, `uid` inside) or `user`, which is another one."""

    kind: str
    uid: int
    gid: int

    @property
    def owner(self) -> tuple[int, int]:
        """Uid and gid that own the program's files, as seen from here."""
        return (self.uid, self.gid) if self.kind == "user" else (os.geteuid(), os.getegid())

    def command(self, *words: str) -> list[str]:
        """Run `words` as this identity; exits NOT_POSSIBLE where that fails, NOT_REACHABLE where the program does."""
        values = (self.kind, self.uid, self.gid, os.getpid())
        return [sys.executable, "-I", "-S", __file__, *map(str, values), *words]


def identities(data_owner: tuple[int, int] | None) -> list[Identity]:
    """Whom to try, best first; `data_owner` is uid and gid of data that exist."""
    same = Identity("same", os.geteuid(), os.getegid())
    if os.geteuid() == 0 and data_owner and data_owner[0] != 0:
        return [Identity("user", *data_owner)]
    if os.geteuid() == 0:
        return [Identity("namespace", *_nobody()), Identity("user", *_nobody())]
    if _has_name(os.geteuid()):
        return [same]
    return [Identity("namespace", *_nobody()), same]


def _nobody() -> tuple[int, int]:
    try:
        return pwd.getpwnam("nobody")[2:4]
    except KeyError:
        return 65534, 65534


def _has_name(uid: int) -> bool:
    try:
        return bool(pwd.getpwuid(uid))
    except KeyError:
        return False


def _main(kind: str, uid: str, gid: str, parent: str, *command: str) -> int:
    # The parent held them back until it knew of this process; a program may rely on them.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        _become(kind, int(uid), int(gid))
    except OSError as error:
        print(f"{kind}: {error}", file=sys.stderr)
        return NOT_POSSIBLE
    _end_with(int(parent))
    try:
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        print(f"{command[0]}: {error}", file=sys.stderr)
        return NOT_REACHABLE[0]


def _become(kind: str, uid: int, gid: int) -> None:
    if kind == "namespace":
        _enter_namespace(uid, gid)
    elif kind == "user":
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def _enter_namespace(uid: int, gid: int) -> None:
    outside = os.geteuid(), os.getegid()
    if sys.platform != "linux":
        raise OSError("there are no user namespaces here")
    _libc("unshare", _CLONE_NEWUSER)
    # The kernel takes a group map from an ordinary user only after setgroups is given up.
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {outside[0]} 1"),
        ("gid_map", f"{gid} {outside[1]} 1"),
    ):
        file = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(file, text.encode())
        os.close(file)


def _end_with(parent: int) -> None:
    # A change of user clears this, so it comes last. SIGINT is PostgreSQL's fast and clean shutdown.
    if sys.platform == "linux":
        _libc("prctl", _PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)


def _libc(name: str, *values: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc[name](*map(ctypes.c_ulong, values)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
