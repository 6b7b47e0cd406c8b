"""Runs the fuzz targets of this folder with atheris, and mutated archives on real engines; see `./dev fuzz`."""

import importlib
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

_HERE = Path(__file__).parent
_CACHE = _HERE.parent / ".cache" / "fuzz"  # interesting inputs, and those that broke a target
_TARGETS = sorted(file.stem.removeprefix("fuzz_") for file in _HERE.glob("fuzz_*.py"))
_NODE = "omninode_bridge.nodes.deployment_sender_effect.v1_0_0"
_INSTRUMENTED = [f"{_NODE}.image", f"{_NODE}.receiver.http.boundary", f"{_NODE}.receiver.http.form", "python_multipart"]
_RSS_LIMIT_MB = 512
_INPUT_TIMEOUT_SECONDS = 10


def main(arguments: list[str]) -> int:
    """Run everything for some seconds each, or one target with the input in a file; return the exit code."""
    match arguments:
        case []:
            return main(["20"])
        case [seconds] if seconds.isdecimal() and int(seconds):  # 0 would be for ever
            return max([*[_run(target, int(seconds)) for target in _TARGETS], _engines("seconds", seconds)])
        case ["engines", *seeds] if seeds and all(map(str.isdecimal, seeds)):
            return _engines(*seeds)
        case [target, path, *limits] if target in _TARGETS:
            return _fuzz(target, Path(path), limits)
    sys.exit(f"usage: python fuzz [SECONDS] or python fuzz {'|'.join(_TARGETS)} FILE or python fuzz engines SEED...")


def _engines(*arguments: str) -> int:
    """Run mutated archives in their own process."""
    print(f"mutated archives on real engines ({' '.join(arguments)}) ...", flush=True)
    path = os.pathsep.join([str(_HERE.parent / "tests"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(_HERE / "engines.py"), *arguments]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=False).returncode


def _run(target: str, seconds: int) -> int:
    """Run a target in its own process, and print one line about the result."""
    corpus = _CACHE / target
    corpus.mkdir(parents=True, exist_ok=True)
    print(f"fuzzing {target} for {seconds} s ...", flush=True)
    limits = [f"-max_total_time={seconds}", f"-rss_limit_mb={_RSS_LIMIT_MB}", f"-timeout={_INPUT_TIMEOUT_SECONDS}"]
    command = [sys.executable, str(_HERE), target, str(corpus), *limits, f"-artifact_prefix={_CACHE}/{target}-"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    output = done.stdout.decode(errors="replace")
    runs = re.search(r"Done (\d+) runs in (\d+) second", output)
    if done.returncode or not runs:
        print(f"{output[-10_000:]}\nFAILED  {target}: see the lines above; the input is {_CACHE}/{target}-*")
        return 1
    print(f"ok      {target}: {runs[1]} inputs in {runs[2]} s, {len(list(corpus.iterdir()))} in its corpus")
    return 0


def _fuzz(name: str, path: Path, limits: list[str]) -> int:
    """Hand over to libFuzzer, which ends the process itself."""
    atheris = importlib.import_module("atheris")  # in the environment of `./dev fuzz` only
    logging.disable()
    sys.path.append(str(_HERE.parent / "tests"))
    with atheris.instrument_imports(include=_INSTRUMENTED):
        target = importlib.import_module(f"fuzz_{name}")
    if path.is_dir():
        for number, seed in enumerate(target.seeds()):
            path.joinpath(f"seed-{number}").write_bytes(seed)
    atheris.Setup([name, str(path), *limits, f"-max_len={target.MAX_BYTES}"], target.check)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
