"""Kill and starve dd-tf at random moments: python tests/faults/run.py --kills 50.

SIGKILL while training, freezing, predicting and converting; a disk that fills up; a folder that may
not be written any more. After each: what bears a final name must be whole, checkpoints must load,
the training must go on, to the very weights of one that was never interrupted. Prints a table.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402

from tests.conftest import SMALL_INPUT, write_small_system  # noqa: E402

# Sums in one order: the weights must come out bit by bit.
_ENVIRONMENT = {
    **os.environ,
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
}
_STEPS = 60


@dataclass
class Count:
    """Outcomes of one kind of fault."""

    faults: int = 0
    hit: int = 0  # struck before the command had ended by itself
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Command:
    """A command, how to check its result, and where that is."""

    name: str
    arguments: list[str]
    check: Callable[[Path], None]
    output: str


def start(arguments: list[str], folder: Path, **options) -> subprocess.Popen:
    """dd-tf in a process of its own."""
    command = [sys.executable, "-m", "deepdensity_tf", *arguments]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=_ENVIRONMENT, **pipes, **options)


def finish(process: subprocess.Popen) -> tuple[int, str]:
    """Exit code and what was said."""
    _, err = process.communicate(timeout=600)
    return process.returncode, err


def succeed(arguments: list[str], folder: Path) -> float:
    """Run a command that must succeed; its seconds."""
    begin = time.monotonic()
    code, err = finish(start(arguments, folder))
    if code != 0:
        raise AssertionError(f"dd-tf {' '.join(arguments)}: exit code {code}: {err[-500:]}")
    return time.monotonic() - begin


def kill_at(process: subprocess.Popen, ready: Callable[[], bool], delay: float) -> bool:
    """SIGKILL `delay` seconds after `ready`; False if the process had ended."""
    while process.poll() is None and not ready():
        time.sleep(0.002)
    time.sleep(delay)
    process.kill()
    return finish(process)[0] == -signal.SIGKILL


def prepare(folder: Path) -> None:
    """Data, input and a density file."""
    write_small_system(folder / "data")
    data = copy.deepcopy(SMALL_INPUT)
    data["model"]["descriptor"]["npass"] = 1
    data["training"].update(numb_steps=_STEPS, save_freq=1, disp_freq=10)
    (folder / "input.json").write_text(json.dumps(data))
    (folder / "mol.xyz").write_text("2\n\nC 3 3 3\nH 4 3 3\n")


def weights(folder: Path) -> tuple[int, list[np.ndarray]]:
    """Step and all numbers of the last state."""
    from deepdensity_tf.train.checkpoint import load_state

    state = load_state(folder)
    variables = (*state.model.variables, *state.optimizer.variables)
    return state.step, [v.numpy() for v in variables]


def kill_training(folder: Path, kills: int, rng: random.Random) -> Count:
    """One training, killed again and again, against one that was not."""
    whole = folder / "whole"
    whole.mkdir()
    prepare(whole)
    prepare(folder)
    succeed(["train", "input.json"], whole)
    count, ckpt = Count(), folder / "model.ckpt"
    for number in range(kills):
        before = weights(ckpt)[0] if (ckpt / "checkpoint").exists() else 0
        options = ["--restart"] if before else []
        process = start(["train", "input.json", *options], folder)
        # Mostly amid steps and saves, now and then in the first seconds.
        amid = number % 4 != 3
        target = before + 1 + rng.randrange(max(1, _STEPS // (kills + 1)))
        ready = (lambda t=target: _newest(ckpt) >= t) if amid else (lambda: True)
        count.hit += kill_at(process, ready, rng.random() * (0.02 if amid else 3))
        count.faults += 1
        if (ckpt / "checkpoint").exists():
            step, _ = weights(ckpt)
            if not before <= step <= _STEPS:
                count.problems.append(f"step {step} after {before}")
        elif before:
            count.problems.append(f"the checkpoints of step {before} are lost")
    restart = ["--restart"] if (ckpt / "checkpoint").exists() else []
    code, err = finish(start(["train", "input.json", *restart], folder))
    if code:
        count.problems.append(err.strip().splitlines()[-1])
        return count
    step, found = weights(ckpt)
    step_whole, expected = weights(whole / "model.ckpt")
    same = all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    if step != step_whole or not same:
        count.problems.append("other weights than those of the uninterrupted training")
    count.problems += _leftovers(folder, ckpt)
    return count


def _newest(ckpt: Path) -> int:
    steps = [int(path.stem.split("-")[1]) for path in ckpt.glob("state-*.index")]
    return max(steps, default=0)


def _leftovers(folder: Path, ckpt: Path | None = None) -> list[str]:
    found = [path.name for path in folder.glob(".*unfinished*")]
    if ckpt is not None:
        found += [path.name for path in ckpt.glob("*temp*")]
        found += [path.name for path in ckpt.glob(".*unfinished*")]
        states = {path.stem for path in ckpt.glob("state-*.index")}
        found += sorted(states)[3:]
    return [f"left over: {name}" for name in found]


def kill_command(folder: Path, command: Command, kills: int, rng: random.Random) -> Count:
    """A command killed at random moments, each time into an empty place."""
    count, target = Count(), folder / command.output
    seconds = succeed(command.arguments, folder)
    command.check(target)
    for _ in range(kills):
        _remove(target)
        process = start(command.arguments, folder)
        moment = seconds * rng.uniform(0.3, 1.05)
        marks = target.parent / f".{target.name}.unfinished-*"
        # Every second time as soon as it begins to write.
        amid = rng.random() < 0.5
        ready = (lambda m=marks: any(m.parent.glob(m.name))) if amid else (lambda: True)
        count.hit += kill_at(process, ready, 0.01 * rng.random() if amid else moment)
        count.faults += 1
        if target.exists():
            try:
                command.check(target)
            except Exception as error:
                count.problems.append(f"{command.output} is half written: {error}")
    _remove(target)
    succeed(command.arguments, folder)
    command.check(target)
    count.problems += _leftovers(folder)
    return count


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def commands(folder: Path) -> list[Command]:
    """Freezing, predicting and converting, with their checks."""
    from deepdensity_tf.data.system import DensitySystem
    from deepdensity_tf.infer.deep_density import DeepDensity

    def same_grid(path: Path) -> None:
        np.testing.assert_array_equal(np.load(path).shape, (30, 30, 30))

    predict = ["predict", "-m", "model.pb", "mol.xyz", "--grid", "30", "30", "30", "-o"]
    return [
        Command("freeze", ["freeze"], lambda path: DeepDensity(path) and None, "frozen_model.pb"),
        Command("predict", [*predict, "rho.npy"], same_grid, "rho.npy"),
        Command(
            "convert",
            ["convert", *["rho.cube"] * 20, "-o", "new"],
            lambda path: DensitySystem(path).check(),
            "new",
        ),
    ]


def prepare_commands(folder: Path) -> None:
    """A trained, frozen model and a cube file of it."""
    prepare(folder)
    data = json.loads((folder / "input.json").read_text())
    data["training"].update(numb_steps=5, save_freq=5)
    (folder / "input.json").write_text(json.dumps(data))
    succeed(["train", "input.json"], folder)
    succeed(["freeze", "-o", "model.pb"], folder)
    grid = ["--grid", "16", "16", "16", "--electrons", "5"]
    succeed(["predict", "-m", "model.pb", "mol.xyz", *grid, "-o", "rho.cube"], folder)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path | None]:
    """A file system of its own size; None where mounting is not allowed."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    folder.mkdir()
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def refused(process: subprocess.Popen, word: str) -> list[str]:
    """Problems of a command that had to give up with one line."""
    code, err = finish(process)
    last = err.strip().splitlines()[-1] if err.strip() else ""
    if code != 2 or "Traceback" in err or word not in last:
        return [f"exit code {code}: {last[-300:]}"]
    return []


def starve(folder: Path, begin: Callable[[Path], bool], end: Callable[[Path], object]) -> Count:
    """A disk that cannot be written any more while training, from `begin` to `end`."""
    count = Count()
    with small_disk(folder, "8m") as disk:
        if disk is None:
            return count
        prepare(disk)
        process = start(["train", "input.json"], disk)
        while _newest(disk / "model.ckpt") < 5 and process.poll() is None:
            time.sleep(0.01)
        if begin(disk):
            count.faults = count.hit = 1
            count.problems += refused(process, "cannot be written")
        else:
            finish(process)
        step, _ = weights(disk / "model.ckpt")
        end(disk)
        count.problems += _goes_on(disk, step)
    return count


def full_disk(folder: Path) -> Count:
    """A disk that fills up while training; then there is room again."""

    def fill(disk: Path) -> bool:
        with suppress(OSError), open(disk / "fill", "wb") as stream:
            while True:
                stream.write(bytes(4096))
                stream.flush()
        return True

    return starve(folder / "disk", fill, lambda disk: (disk / "fill").unlink())


def read_only(folder: Path) -> Count:
    """A folder that loses the right to be written while training; then it is given back."""

    def remount(disk: Path, rights: str) -> bool:
        command = ["mount", "-o", f"remount,{rights}", str(disk)]
        return subprocess.run(command, capture_output=True).returncode == 0

    def take(disk: Path) -> bool:
        for _ in range(200):  # refused while a file is open for writing
            if remount(disk, "ro"):
                return True
            time.sleep(0.005)
        return False

    return starve(folder / "rights", take, lambda disk: remount(disk, "rw"))


def _goes_on(folder: Path, step: int) -> list[str]:
    code, err = finish(start(["train", "input.json", "--restart"], folder))
    if code or f"from step {step}" not in err or weights(folder / "model.ckpt")[0] != _STEPS:
        return [f"does not go on from step {step}: {err.strip().splitlines()[-1]}"]
    return []


def small_files(folder: Path) -> Count:
    """No file may grow beyond a few kB: every command gives up, and leaves nothing."""
    count = Count()

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    for command in commands(folder):
        _remove(folder / command.output)
        before = sorted(os.listdir(folder))
        process = start(command.arguments, folder, preexec_fn=limit)
        count.problems += refused(process, command.output)
        count.faults, count.hit = count.faults + 1, count.hit + 1
        if sorted(os.listdir(folder)) != before:
            count.problems.append(f"{command.name} left files")
    return count


def run(kills: int, seed: int, folder: Path) -> dict[str, Count]:
    """All faults; `kills` are shared between the commands, half of them for training."""
    rng = random.Random(seed)
    training, work = folder / "training", folder / "work"
    training.mkdir(), work.mkdir()
    share = max(1, kills // 6)
    counts = {"SIGKILL train": kill_training(training, kills - 3 * share, rng)}
    prepare_commands(work)
    for command in commands(work):
        counts[f"SIGKILL {command.name}"] = kill_command(work, command, share, rng)
    counts["file size limit"] = small_files(work)
    counts["disk full"] = full_disk(folder)
    counts["read-only"] = read_only(folder)
    return counts


def main() -> int:
    """Run all faults; exit code 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="SIGKILLs in all (50)")
    parser.add_argument("--seed", type=int, default=None, help="of the random moments")
    args = parser.parse_args()
    seed = random.randrange(10**6) if args.seed is None else args.seed
    with tempfile.TemporaryDirectory() as scratch:
        counts = run(args.kills, seed, Path(scratch))
    print(f"seed {seed}\n{'fault':20}{'times':>7}{'in time':>9}{'problems':>10}")
    for name, count in counts.items():
        print(f"{name:20}{count.faults:7d}{count.hit:9d}{len(count.problems):10d}")
        for problem in count.problems:
            print(f"  {problem}")
    return int(any(count.problems for count in counts.values()))


if __name__ == "__main__":
    sys.exit(main())
