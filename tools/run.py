"""Set up and run the project's commands, with nothing but Python's own library.

Each command first brings `.venv` up to date with requirements.lock and the project itself; that is skipped while
neither has changed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "loa-setup-stamp"
LOCK = ROOT / "requirements.lock"

HELP = """\
./run COMMAND [ARGUMENTS]      each sets up all it needs first, in .venv

  setup     set up and do nothing else
  demo      a small province on this machine, from recording to receipts (--once: two broadcasts, then a report)
  serve     the centre: broker, controller, API and first page
  test      every test (--quick: the part that takes under a minute; -m soak: the longer forms, which are left out
            otherwise; other arguments go to pytest)
  attacks   everything that attackers try, in virtual time: attempts, how each is seen, seconds of unauthorised sound
  soak      worlds under mixed faults in virtual time ([--minutes N] [--seeds A-B] [--boxes 50] [--days 7])
  lint      ruff, mypy --strict, the layers
  bench     measure the promises ([NAME] [--quick] [--json FILE])
  lock      write requirements.lock and requirements-node.lock anew from pyproject.toml

`.venv/bin/loa --help` is the product's own command.
"""

# Programs that tests drive, and the Debian packages they come in.
TEST_TOOLS = {
    "mosquitto": ("mosquitto", ("mosquitto", "mosquitto-clients")),
    "mosquitto_sub": ("mosquitto_sub", ("mosquitto-clients",)),
    "pulseaudio": ("pulseaudio", ("pulseaudio", "pulseaudio-utils")),
    "postgresql": ("/usr/lib/postgresql/*/bin/initdb", ("postgresql",)),
    "chromium": ("chromium", ("chromium",)),
    "espeak-ng": ("espeak-ng", ("espeak-ng",)),
    "nats-server": ("nats-server", ("nats-server",)),
}
# Taken only where the longer forms are asked for: RabbitMQ brings Erlang with it.
SOAK_TOOLS = {"rabbitmq-server": ("rabbitmq-server", ("rabbitmq-server",))}


def main(arguments: list[str]) -> int:
    command, rest = (arguments[0], arguments[1:]) if arguments else ("help", [])
    commands = {"setup": _setup_only, "test": _test, "lint": _lint, "bench": _bench, "soak": _soak, "lock": _lock}
    if command in ("help", "-h", "--help"):
        print(HELP)
        return 0
    if command == "attacks":
        setup()
        return _become([str(VENV / "bin" / "loa"), "simulate", "attacks", *rest])
    if command in ("demo", "serve"):
        setup()
        return _become([str(VENV / "bin" / "loa"), command, *rest])
    if command not in commands:
        print(f"./run: there is no command `{command}`.\n\n{HELP}", file=sys.stderr)
        return 2
    return commands[command](rest)


def setup() -> None:
    """Make `.venv` hold what requirements.lock and pyproject.toml say. Raises SystemExit with a reason."""
    wanted = _wanted_stamp()
    if STAMP.exists() and STAMP.read_text() == wanted and PYTHON.exists():
        return
    print("setting up .venv (the first time takes a minute or two) …", file=sys.stderr, flush=True)
    if not PYTHON.exists():
        shutil.rmtree(VENV, ignore_errors=True)
        _must([sys.executable, "-m", "venv", str(VENV)], "python's venv module is missing (Debian: python3-venv)")
    pip = [str(PYTHON), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    _must(
        [*pip, "--require-hashes", "-r", str(LOCK)], "the locked packages could not be installed; is there a network?"
    )
    _must([*pip, "--no-deps", "--no-build-isolation", "-e", str(ROOT)], "the project itself could not be installed")
    STAMP.write_text(wanted)


def _wanted_stamp() -> str:
    parts = [sys.version, str(ROOT), LOCK.read_text(), (ROOT / "pyproject.toml").read_text()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _must(command: list[str], otherwise: str) -> None:
    if subprocess.run(command, check=False).returncode != 0:
        raise SystemExit(f"./run: {otherwise}")


def _become(command: list[str]) -> int:
    """Replace this process, so that signals and the exit code are the command's own."""
    sys.stdout.flush()
    os.environ["PATH"] = f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    os.execv(command[0], command)  # noqa: S606


def _setup_only(rest: list[str]) -> int:
    del rest
    setup()
    print("ready: .venv/bin/loa --help")
    return 0


def _missing_tools(tools: dict[str, tuple[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    def there(probe: str) -> bool:
        if "*" in probe:
            return any(Path("/").glob(probe.lstrip("/")))
        return shutil.which(probe, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin") is not None

    return {name: packages for name, (probe, packages) in tools.items() if not there(probe)}


def _install_tools(tools: dict[str, tuple[str, tuple[str, ...]]]) -> None:
    """As root, install what tests drive; otherwise say what is missing and what is skipped for it."""
    missing = _missing_tools(tools)
    if not missing:
        return
    packages = sorted({package for of in missing.values() for package in of})
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"installing {' '.join(packages)} for the tests …", file=sys.stderr, flush=True)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=False, env=quiet, stdout=subprocess.DEVNULL)
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
        subprocess.run(install, check=False, env=quiet, stdout=subprocess.DEVNULL)
        missing = _missing_tools(tools)
    for name, of in missing.items():
        print(f"missing: {name} (apt-get install {' '.join(of)}); tests that need it are skipped", file=sys.stderr)


def _test(rest: list[str]) -> int:
    setup()
    # Every process imports hundreds of files, and pytest rewrites those of the tests: kept, that is done once.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if "--quick" in rest:
        rest = [a for a in rest if a != "--quick"]
        processes = _processes(rest, a_core=1)
        return _become([str(PYTHON), "-m", "pytest", "-m", "not slow and not soak", *processes, *rest])
    chosen = any(a == "-m" or a.startswith("-m=") for a in rest)
    _install_tools(TEST_TOOLS | (SOAK_TOOLS if chosen and any("soak" in a for a in rest) else {}))
    marks = [] if chosen else ["-m", "not soak"]
    return _become([str(PYTHON), "-m", "pytest", *marks, *_processes(rest), *rest])


def _processes(rest: list[str], *, a_core: int = 2) -> list[str]:
    """Two for each core, six at most, as many tests wait for what takes its time; one where somebody looks into it.

    The quick ones hardly wait, and each process takes its time to import them: of those, one a core.
    """
    alone = ("-s", "--capture=no", "--pdb", "--trace", "--co", "--collect-only", "-n", "--numprocesses", "-p")
    if any(a in alone or a.startswith("-n") for a in rest):
        return []
    # All processes must collect the same tests in the same order, also where those are named by a set.
    os.environ.setdefault("PYTHONHASHSEED", str(int.from_bytes(os.urandom(4), "big")))
    return ["-n", str(min(6, a_core * (os.cpu_count() or 1))), "--dist", "loadscope", "--no-loadscope-reorder"]


def _lint(rest: list[str]) -> int:
    del rest
    setup()
    bin_folder = VENV / "bin"
    checks = {
        "format": [str(bin_folder / "ruff"), "format", "--check", "."],
        "ruff": [str(bin_folder / "ruff"), "check", "."],
        "mypy": [str(bin_folder / "mypy")],
        "layers": [str(bin_folder / "lint-imports"), "--no-logo"],
    }
    failed = [name for name, command in checks.items() if subprocess.run(command, check=False, cwd=ROOT).returncode]
    print(f"lint: {'failed: ' + ', '.join(failed) if failed else 'all checks passed'}")
    return 1 if failed else 0


def _bench(rest: list[str]) -> int:
    setup()
    return _become([str(PYTHON), "-m", "benchmarks", *rest])


def _soak(rest: list[str]) -> int:
    setup()
    return _become([str(PYTHON), "-m", "loa.cli.simulation.soak", *rest])


def _lock(rest: list[str]) -> int:
    """Hashes without addresses: pip asks whichever index this machine is set up with."""
    del rest
    setup()
    base = [str(VENV / "bin" / "uv"), "export", "--quiet", "--no-emit-project", "--no-header", "--no-annotate"]
    for name, extras in (("requirements.lock", ["--all-extras"]), ("requirements-node.lock", [])):
        _must([*base, *extras, "-o", str(ROOT / name)], "uv is missing: .venv/bin/pip install uv")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
