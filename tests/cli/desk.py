"""Somebody at a terminal: runs a script of commands there, and types what they ask for."""

import os
import pty
import re
import select
import signal
from pathlib import Path

_PROMPT = re.compile(rb"(?:Passphrase of|New passphrase for|The same again, for) ([a-z0-9-]+): $")
_YES = re.compile(rb"Type yes: $")


def at_a_terminal(
    script: str, folder: Path, environment: dict[str, str], passphrases: dict[str, str], *, within_s: float = 120
) -> str:
    """What was on the screen. Stops at the first command that fails, with AssertionError."""
    folder.mkdir(parents=True, exist_ok=True)
    child, screen = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execvpe("/bin/sh", ["sh", "-eu", "-c", script], environment)
    seen, answered = b"", 0
    try:
        while True:
            ready, _, _ = select.select([screen], [], [], within_s)
            assert ready, f"it waits for something: {seen.decode('utf-8', 'replace')[-2000:]}"
            try:
                data = os.read(screen, 65536)
            except OSError:  # the other end of a pty is closed
                break
            if not data:
                break
            seen += data
            asked = _PROMPT.search(seen, answered)
            if asked is not None:
                os.write(screen, passphrases[asked[1].decode()].encode() + b"\n")
            elif _YES.search(seen, answered):
                os.write(screen, b"yes\n")
            else:
                continue
            answered = len(seen)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        _, status = os.waitpid(child, 0)
        os.close(screen)
    text = seen.decode("utf-8", "replace")
    assert os.waitstatus_to_exitcode(status) == 0, text[-4000:]
    return text
