"""A PostgreSQL of the tests' own: initdb as another user, a free port of 127.0.0.1, gone when the session ends."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests import tools
from tests.brokers import free_port


class Postgres:
    """Start with `start`; `url` is for SQLAlchemy. Every `fresh_url` is an empty database.

    durable: commits wait for the disk, as they do in earnest; a test need not wait.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._durable = durable
        self._folder = Path(tempfile.mkdtemp(prefix="loa-postgres-"))
        self._count = 0
        self.port = free_port()

    def start(self) -> None:
        shutil.chown(self._folder, "postgres", "postgres")
        data = self._folder / "data"
        self._run("initdb", "-D", str(data), "-A", "trust", "-U", "loa", "-E", "UTF8", "--locale=C", "--no-sync")
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder}"
        if not self._durable:
            options += " -c fsync=off"
        self._run("pg_ctl", "-D", str(data), "-l", str(self._folder / "log"), "-w", "-o", options, "start")

    def fresh_url(self) -> str:
        self._count += 1
        name = f"loa{self._count}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "loa", name)
        return f"postgresql://loa@127.0.0.1:{self.port}/{name}"

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        folder = tools.postgresql_bin()
        assert folder is not None
        command = ["runuser", "-u", "postgres", "--", str(folder / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=60, check=False)
        assert done.returncode == 0, f"{program}: {done.stderr}{done.stdout}"
