"""Mutated files for all readers.

    python tests/fuzz/readers.py --seconds 600 [--seed N] [--atheris]

Good files of every kind are damaged at random (bytes, numbers, lengths) and read. A reader may
answer, or refuse with one line (InputError); any other exception ends the run, the file kept.
With `--atheris` (pip install atheris) libFuzzer chooses the damage by the coverage it reaches.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import re
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

_WORDS = (b"nan", b"inf", b"-1", b"0", b"1e308", b"-1e-308", b"99999999999", b"2147483648", b"\xff")
_WORDS += (b"", b" ", b"\n", b"\0" * 9, b"{", b"[" * 2000, b"1" * 400)
_MEMORY = 16 * 2**30
_STRUCTURES: dict[str, dict] = {
    "a.cif": {},
    "a.pdb": {},
    "a.extxyz": {},
    "a.xyz": {"plain": True},
    "a.traj": {},
    "a.gen": {},
    "XDATCAR": {"format": "vasp-xdatcar"},
    "scf.in": {"format": "espresso-in", "pseudopotentials": {"C": "C.UPF", "H": "H.UPF"}},
}
DUMP = """ITEM: TIMESTEP
0
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0 9
0 9
0 9
ITEM: ATOMS id element x y z
1 C 0 0 0
2 H 0 0 1.1
"""


@dataclass(frozen=True)
class Target:
    """A kind of file: which one of the good folder is damaged, and who reads it."""

    file: str
    read: Callable[[Path], object]  # of the folder


def targets() -> dict[str, Target]:
    """All kinds."""
    from deepdensity_tf.data.system import DensitySystem
    from deepdensity_tf.formats import read_density
    from deepdensity_tf.formats.integral import examined
    from deepdensity_tf.infer.deep_density import DeepDensity
    from deepdensity_tf.infer.structures import read_structures
    from deepdensity_tf.plot.pictures import read_lcurve
    from deepdensity_tf.schema import complete_input, read_input
    from deepdensity_tf.train.checkpoint import read_checkpoint_input

    def density(name: str) -> Callable[[Path], object]:
        def read(folder: Path) -> None:
            for volume in read_density(folder / name):
                examined(volume, name, pbc=bool(volume.atoms.pbc.any()))

        return read

    def structure(name: str) -> Target:
        return Target(name, lambda folder: list(read_structures(str(folder / name))))

    def system(folder: Path) -> None:
        DensitySystem(folder / "data", ["C", "H"]).check()

    def training_input(name: str) -> Callable[[Path], object]:
        return lambda folder: complete_input(read_input(folder / name), name)

    found = {
        "cube": Target("rho.cube", density("rho.cube")),
        "chgcar": Target("CHGCAR", density("CHGCAR")),
        "npz": Target("rho.npz", density("rho.npz")),
        "gpw": Target("rho.gpw", density("rho.gpw")),
        "qe density": Target("h2.save/charge-density.dat", density("h2.save")),
        "qe schema": Target("h2.save/data-file-schema.xml", density("h2.save")),
        "json": Target("input.json", training_input("input.json")),
        "yaml": Target("input.yaml", training_input("input.yaml")),
        "checkpoint input": Target(
            "model.ckpt/input.json", lambda folder: read_checkpoint_input(folder / "model.ckpt")
        ),
        "lcurve": Target("lcurve.out", lambda folder: read_lcurve(folder / "lcurve.out")),
        "xsf": Target("rho.xsf", density("rho.xsf")),
        **{
            f"structure {name}": structure(name)
            for name in ("crystal.vasp", "md.dump", *_STRUCTURES)
        },
        "model": Target("frozen_model.pb", lambda folder: DeepDensity(folder / "frozen_model.pb")),
    }
    names = [f"set.000/{name}.npy" for name in ("coord", "box", "grid_shape", "density")]
    for name in ("type.raw", "type_map.raw", *names):
        found[name] = Target(f"data/{name}", system)
    return found


def make_seeds(folder: Path) -> None:
    """Good files, small so that damage hits what matters."""
    import json

    import ase.io
    import numpy as np
    import yaml

    from deepdensity_tf.formats import read_density, write_volumetric
    from tests.bad_input.good import make_good

    make_good(folder)
    data = json.loads((folder / "input.json").read_text())
    (folder / "input.yaml").write_text(yaml.safe_dump(data))
    for name, options in _STRUCTURES.items():
        ase.io.write(folder / name, ase.io.read(folder / "crystal.vasp"), **options)
    (folder / "md.dump").write_text(DUMP)
    volume = read_density(folder / "rho.cube")[0]
    write_volumetric(folder / "rho.xsf", volume.atoms, volume.density)
    part = folder / "data/set.000"
    np.save(part / "grid_shape.npy", np.full((2, 3), 4, dtype=np.int32))
    np.save(part / "density.npy", np.full((2, 64), 0.03, dtype=np.float32))


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Damage at a few places."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        place = rng.randrange(len(changed) + 1)
        # What stands at the front (headers, counts) is worth more attention.
        place = min(place, rng.randrange(300)) if rng.random() < 0.5 else place
        kind = rng.randrange(7)
        if kind == 0 and place < len(changed):
            changed[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del changed[place : place + rng.choice((1, 2, 10, 100))]
        elif kind == 2:
            changed[place:place] = rng.choice(_WORDS)
        elif kind == 3:
            del changed[place:]
        elif kind == 4:
            changed[place:place] = changed[place : place + rng.choice((4, 40, 400))]
        elif kind == 5:
            numbers = list(re.finditer(rb"-?\d[\d.eE+-]*", bytes(changed[:4000])))
            if numbers:
                found = rng.choice(numbers)
                changed[found.start() : found.end()] = rng.choice(_WORDS)
        elif place + 8 <= len(changed):
            changed[place : place + 8] = rng.randbytes(8)
    return bytes(changed)


def check(target: Target, data: bytes, folder: Path) -> str:
    """Put the damaged file in its place and read it; "answered" or "refused"."""
    from deepdensity_tf.utils.errors import InputError

    path = folder / target.file
    path.write_bytes(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.read(folder)
    except InputError as error:
        if "\n" in str(error).strip() and len(str(error).splitlines()) > 1:
            raise AssertionError(f"more than one line: {error}") from None
        return "refused"
    except MemoryError:  # said in one line by the command line
        return "too large"
    return "answered"


class Damaged:
    """A folder of good files, of which one at a time is damaged and read."""

    def __init__(self, folder: Path, only: str = ""):
        self._folder = folder
        make_seeds(folder)
        self._targets = {name: target for name, target in targets().items() if only in name}
        self.seeds = {n: (folder / t.file).read_bytes() for n, t in self._targets.items()}

    def read(self, name: str, data: bytes, keep: Path) -> str:
        """`check` with these bytes, which are kept also after a crash of the process."""
        keep.write_bytes(data)
        target = self._targets[name]
        try:
            return check(target, data, self._folder)
        finally:
            (self._folder / target.file).write_bytes(self.seeds[name])


def fuzz(seconds: float, seed: int, keep: Path, only: str = "") -> Counter:
    """Read damaged files until the time is over.

    Raises
    ------
    RuntimeError
        A reader raised something else; the file is `keep`.
    """
    rng, counts = random.Random(seed), Counter()
    logging.getLogger("deepdensity_tf").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as scratch:
        files = Damaged(Path(scratch), only)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            # To load a model takes a hundred times as long as the others.
            slow = rng.random() < 0.02
            kinds = list(files.seeds)
            name = rng.choice([kind for kind in kinds if slow or kind != "model"] or kinds)
            try:
                counts[f"{name}: {files.read(name, mutate(files.seeds[name], rng), keep)}"] += 1
            except Exception as error:
                raise RuntimeError(f"seed {seed}, {name}, {keep}: {error!r}") from error
    keep.unlink(missing_ok=True)
    return counts


def fuzz_guided(seconds: float, keep: Path) -> None:
    """The same by libFuzzer; the first byte chooses the kind. Ends the process."""
    import atheris

    scratch = Path(tempfile.mkdtemp())
    good, corpus = scratch / "good", scratch / "corpus"
    good.mkdir(), corpus.mkdir()
    with atheris.instrument_imports(include=["deepdensity_tf.data", "deepdensity_tf.utils"]):
        files = Damaged(good)
    names = list(files.seeds)
    for number, seed in enumerate(files.seeds.values()):
        (corpus / str(number)).write_bytes(bytes([number]) + seed[:20_000])

    def one(data: bytes) -> None:
        files.read(names[data[0] % len(names) if data else 0], data[1:], keep)

    options = [f"-max_total_time={seconds:.0f}", "-max_len=20000", "-timeout=60", str(corpus)]
    atheris.Setup([sys.argv[0], *options], one)
    try:
        atheris.Fuzz()
    finally:
        shutil.rmtree(scratch)


def main() -> int:
    """Fuzz and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", default="", metavar="KIND", help="kinds with KIND in their name")
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzzed_file"), help="the file of a failure"
    )
    parser.add_argument("--atheris", action="store_true", help="guided by coverage")
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    if args.atheris:
        logging.getLogger("deepdensity_tf").setLevel(logging.CRITICAL)
        fuzz_guided(args.seconds, args.keep.resolve())
        return 0
    counts = fuzz(args.seconds, args.seed, args.keep.resolve(), args.only)
    print(f"seed {args.seed}: {sum(counts.values())} files, no crash")
    for name, count in sorted(counts.items()):
        print(f"  {name}: {count}")
    return 0


_Raw = argparse.RawDescriptionHelpFormatter

if __name__ == "__main__":
    sys.exit(main())
