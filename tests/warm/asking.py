"""Have `forking` run a command line as if this process did: `asking.py FOLDER PYTHON INSTALLED ARGUMENTS...`.

Standard library only, and little of it, without a type: it has to start at once.
"""

import marshal
import os
import resource
import signal
import socket
import sys

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
NO_MATTER = ("PYTHONUNBUFFERED=", "PYTHONDONTWRITEBYTECODE=", "PYTHONIOENCODING=utf-8")
SIZE = 8  # bytes of a number on the line


def ask(folder, python, installed, arguments):
    """Run the command line, and end as it ends; really start it where only that shows what is asked for."""
    line = None
    try:
        plain = has_three_streams()  # before anything is opened in their place
        if not os.path.exists(f"{folder}/socket"):
            start(folder, python)
        os.umask(umask := os.umask(0))
        given = marshal.dumps((installed, arguments, os.getcwd(), dict(os.environ), umask))
        if plain and is_plain(folder):
            line = socket.socket(socket.AF_UNIX)
            line.connect(f"{folder}/socket")
            socket.send_fds(line, [len(given).to_bytes(SIZE, "big")], [0, 1, 2])
            line.sendall(given)
    except OSError:  # limits, a folder that is gone
        line = None
    if line is None:
        os.execv(installed, [installed, *arguments])
    pid = int.from_bytes(line.recv(SIZE), "big")
    for number in PASSED_ON:
        signal.signal(number, lambda number, _: os.kill(pid, number))
    status = int.from_bytes(line.recv(SIZE), "big", signed=True)
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def start(folder, python):
    """Have the process that forks started by whoever is the first to need it, and wait until it listens."""
    import fcntl
    import subprocess

    with open(f"{folder}/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(f"{folder}/socket"):
            return
        with open(f"{folder}/said", "wb") as said:
            root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
            process = subprocess.Popen(
                [python, "-m", "tests.warm.forking", folder],
                cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, start_new_session=True,
            )  # fmt: skip
        process.stdout.readline()


def has_three_streams():
    """Whether those are open, and nothing else is that a fork would not have."""
    return sorted(map(int, os.listdir("/dev/fd")))[:-1] == [0, 1, 2]  # the last one is of this look itself


def is_plain(folder):
    """Whether nothing is asked for that only a real start shows."""
    if any(signal.getsignal(number) is signal.SIG_IGN for number in (signal.SIGINT, signal.SIGHUP)):
        return False
    with open(f"{folder}/facts") as file:
        return facts() == file.read()


def facts():
    """What a fork has from the process that it is made from, and a process from its start."""
    settings = [
        f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith(("PYTHON", "TZ", "LD_"))
    ]
    settings = [setting for setting in settings if not setting.startswith(NO_MATTER)]
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or "C"
    limits = [resource.getrlimit(number) for name, number in sorted(vars(resource).items()) if name[:7] == "RLIMIT_"]
    return repr((os.getuid(), os.geteuid(), os.getgid(), limits, settings, locale.replace("C.UTF-8", "C")))


if __name__ == "__main__":
    ask(*sys.argv[1:4], sys.argv[4:])
