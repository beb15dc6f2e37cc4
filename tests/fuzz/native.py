"""Random calls of the native ops under AddressSanitizer and UBSan.

    python tests/fuzz/native.py --seconds 600 [--seed N] [--plain]

Builds the op library with both sanitizers into a temporary folder and calls every op with arrays
of random shapes and values, good and bad. An op may answer or refuse (InvalidArgument); a crash, a
report of a sanitizer, or any other error ends the run with the seed that led there. `--plain`
takes the library as it is installed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
_SANITIZE = (
    "-fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all "
    "-fno-omit-frame-pointer -g -O1"
).split()


def build(target: Path) -> None:
    """The op library with sanitizers, for all instruction sets: DEEPDENSITY_ISA chooses."""
    command = [sys.executable, str(ROOT / "op" / "build.py"), str(target)]
    subprocess.run([*command, "--cxx", os.environ.get("CXX", "g++"), *_SANITIZE], check=True)


def run_sanitized(arguments: list[str]) -> int:
    """This program once more, with the sanitizer's runtime loaded first."""
    with tempfile.TemporaryDirectory() as scratch:
        library = Path(scratch) / "libdd_sanitized.so"
        build(library)
        runtime = [
            subprocess.run(
                [os.environ.get("CXX", "g++"), f"-print-file-name={name}"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
            for name in ("libasan.so", "libubsan.so")
        ]
        environment = {
            **os.environ,
            "LD_PRELOAD": ":".join(runtime),
            # Python and TensorFlow leak at exit by design; a failed malloc must return null.
            "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "",
        }
        command = [sys.executable, __file__, *arguments, "--library", str(library)]
        return subprocess.run(command, env=environment).returncode


class Calls:
    """Random arguments, from sensible to absurd.

    Parameters
    ----------
    ops : module
        The loaded op library.
    seed : int
        The same seed gives the same calls.
    """

    def __init__(self, ops, seed: int):
        import numpy as np

        self._ops, self._np = ops, np
        self.rng = np.random.default_rng(seed)

    def any(self) -> str:
        """Call one op; its name."""
        names = ("neighbor_list", "env_mat", "harmonics", "expansion", "density", "table")
        names += ("gather", "grouped", "coupling", "interpolate", "pair_products")
        names += ("grid_parts", "extreme")
        name = names[self.rng.integers(len(names))]
        getattr(self, f"_{name}")()
        return name

    def _odd(self, chance: float = 0.15) -> bool:
        return bool(self.rng.random() < chance)

    def _number(self) -> float:
        """One length: mostly of a few Å."""
        absurd = (0.0, -1.0, 1e-300, 1e-12, 1e-7, 1e8, 1e20, 1e300, float("nan"), float("inf"))
        if self._odd():
            return float(absurd[self.rng.integers(len(absurd))])
        return float(self.rng.uniform(0.1, 6.0))

    def _floats(self, shape, scale: float = 4.0):
        """Mostly finite numbers, of a mostly right shape."""
        values = self.rng.normal(0, scale, self._shape(shape))
        while values.size and self._odd(0.1):
            values.flat[self.rng.integers(values.size)] = self._number()
        if self._odd(0.05):
            values *= self._number()
        return values

    def _shape(self, shape):
        shape = list(shape)
        if self._odd(0.05):
            shape[self.rng.integers(len(shape))] += int(self.rng.integers(0, 3))
        if self._odd(0.02):
            shape = shape[:-1]
        return shape

    def _integers(self, low: int, high: int, size: int):
        values = self.rng.integers(low, max(high, low + 1), self._shape([size])).astype("int32")
        if values.size and self._odd(0.1):
            extreme = (-1, high, 2**31 - 1, -(2**31))
            values.flat[self.rng.integers(values.size)] = extreme[self.rng.integers(4)]
        return values

    def _splits(self, nframes: int, total: int):
        cuts = self._np.sort(self.rng.integers(0, total + 1, max(nframes - 1, 0)))
        splits = self._np.concatenate([[0], cuts, [total]])[: nframes + 1].astype("int32")
        if self._odd(0.05) and splits.size:
            splits[self.rng.integers(splits.size)] += int(self.rng.integers(-3, 4))
        return splits

    def _boxes(self, nframes: int):
        boxes = self.rng.normal(0, 0.3, (nframes, 9)) + 5 * self._np.eye(3).ravel()
        for box in boxes:
            kind = self.rng.integers(8)
            if kind < 2:
                box[:] = 0
            elif kind == 2:
                box *= 10.0 ** self.rng.uniform(-1, 3)
            elif kind == 3:
                box[:3] = box[3:6] * (1 + 1e-9)
            elif kind == 4:
                box[self.rng.integers(9)] = self._number()
        return boxes if not self._odd(0.03) else boxes[:, :8]

    def _neighbor_list(self) -> None:
        nframes, natoms, ncenters = (int(n) for n in self.rng.integers([0, 0, 0], [4, 20, 30]))
        coord, splits = self._floats([natoms, 3]), self._splits(nframes, natoms)
        same = bool(self.rng.integers(2))
        center = coord if same else self._floats([ncenters, 3], 20.0)
        self._ops.dd_neighbor_list(
            center=center,
            center_splits=splits if same else self._splits(nframes, ncenters),
            coord=coord,
            coord_splits=splits,
            box=self._boxes(nframes),
            rcut=self._number(),
            skip_self=same or self._odd(),
        )

    def _env_mat(self) -> None:
        npairs, lmax = int(self.rng.integers(40)), int(self.rng.integers(0, 9))
        disp, smth, rcut = self._floats([npairs, 3]), self._number(), self._number()
        self._ops.dd_env_mat(disp=disp, rcut_smth=smth, rcut=rcut, lmax=lmax)
        grad = self._floats([npairs, (lmax + 1) ** 2])
        self._ops.dd_env_mat_grad(grad=grad, disp=disp, rcut_smth=smth, rcut=rcut, lmax=lmax)

    def _harmonics(self) -> None:
        nvec, lmax = int(self.rng.integers(40)), int(self.rng.integers(-1, 10))
        vec = self._floats([nvec, 3])
        self._ops.dd_harmonics(vec=vec, lmax=lmax)
        grad = self._floats([nvec, (lmax + 1) ** 2])
        self._ops.dd_harmonics_grad(grad=grad, vec=vec, lmax=lmax)

    def _functions(self, natoms: int) -> dict:
        """Coefficients and radii of atom-centred functions."""
        nchannel, nspline, lmax = (int(n) for n in self.rng.integers([0, 0, 0], [3, 12, 9]))
        shape = self._shape([natoms, nchannel, nspline, (lmax + 1) ** 2 + self._odd(0.03)])
        return {
            "coef": self.rng.normal(size=shape).astype(self._dtype()),
            "radial": self._np.array([self._number(), self._number()]),
        }

    def _expansion(self) -> None:
        npairs, natoms, npoints = (int(n) for n in self.rng.integers([0, 0, 0], [60, 6, 20]))
        arguments = {
            "disp": self._floats([npairs, 3], 1.5),
            "pair_point": self._np.sort(self._integers(0, npoints, npairs)),
            "pair_atom": self._integers(0, natoms, npairs),
            **self._functions(natoms),
        }
        wanted = int(self.rng.integers(-2, 3)) if self._odd(0.05) else npoints
        grad = self._floats([npoints, *arguments["coef"].shape[1:2]])
        calls = (
            lambda: self._ops.dd_expansion(npoints=wanted, **arguments),
            lambda: self._ops.dd_expansion_grad_disp(grad=grad, **arguments),
            lambda: self._ops.dd_expansion_grad_coef(grad=grad, **arguments),
        )
        calls[self.rng.integers(3)]()

    def _density(self) -> None:
        nframes, natoms, npoints = (int(n) for n in self.rng.integers([0, 0, 0], [3, 8, 200]))
        arguments = {
            "point": self._floats([npoints, 3]),
            "point_splits": self._splits(nframes, npoints),
            "coord": self._floats([natoms, 3]),
            "coord_splits": self._splits(nframes, natoms),
            "box": self._boxes(nframes),
            **self._functions(natoms),
        }
        if self.rng.integers(2):
            for name in ("point", "point_splits", "coord_splits", "box"):
                del arguments[name]
            box = self._boxes(1)
            arguments["box"] = box if self.rng.integers(2) else self._np.zeros((1, 9))
            self._ops.dd_density_grid(
                shape=self._integers(0, 40, 3),
                part=self._integers(0, 4, 2) if self.rng.integers(2) else self._integers(0, 9, 6),
                grid_box=box[0] if len(box) else self._floats([9]),
                **arguments,
            )
        elif self.rng.integers(2):
            self._ops.dd_density(**arguments)
        else:
            self._ops.dd_density_grad(**arguments)

    def _grid_parts(self) -> None:
        box = self._boxes(1)
        extreme = (1, 2, 40, 4000, 2**31 - 1)
        self._ops.dd_grid_parts(
            shape=self._np.array([extreme[k] for k in self.rng.integers(5, size=3)], "int32"),
            grid_box=(box[0] if self.rng.integers(3) else self._floats([9])),
            coord=self._floats([int(self.rng.integers(5)), 3]),
            box=box if self.rng.integers(2) else self._np.zeros((1, 9)),
            rcut=self._number(),
            most=int(self.rng.integers(-1, 4)) or 2**20,
        )

    def _extreme(self) -> None:
        """Dimensions that only empty arrays can have, and the widest that real ones may."""
        sizes = (0, 1, 4, 2**12, 2**16, 2**20, 2**31 - 1, 2**31, 2**32 + 1)
        shape = [int(sizes[k]) for k in self.rng.integers(len(sizes), size=4)]
        product = 1
        for n in shape:
            product *= max(n, 1)
        if product >= 2**62 or (0 not in shape and product > 2**22):
            shape = [0, 2051, 12, 1]  # TensorFlow itself takes no others
        if self.rng.integers(4) == 0:
            shape = [2, int(self.rng.integers(1500, 3000)), 6, 4]
        coef = self._np.zeros(shape, "float32")
        natoms, npoints = min(shape[0], 50), int(self.rng.integers(0, 400))
        arguments = {"coef": coef, "radial": self._np.array([2.5, 0.5])}
        if self.rng.integers(2):
            self._ops.dd_density(
                point=self.rng.normal(size=(npoints, 3)),
                point_splits=self._np.array([0, npoints], "int32"),
                coord=self.rng.normal(size=(natoms, 3)),
                coord_splits=self._np.array([0, natoms], "int32"),
                box=self._np.zeros((1, 9)),
                **arguments,
            )
        else:
            none = self._np.zeros(0, "int32")
            self._ops.dd_expansion(
                disp=self._np.zeros((0, 3)),
                pair_point=none,
                pair_atom=none,
                npoints=npoints,
                **arguments,
            )

    def _table(self) -> None:
        nrows, pieces, nout = (int(n) for n in self.rng.integers([0] * 3, [60, 9, 5]))
        dtype = self._dtype()
        self._ops.dd_table(
            x=self._floats([nrows]).astype(dtype),
            table=self.rng.normal(size=self._shape([pieces, 6, nout])).astype(dtype),
            step=self._number(),
        )

    def _gather(self) -> None:
        npairs, natoms, nchannels, lmax = (int(n) for n in self.rng.integers(0, [50, 9, 9, 5]))
        passed, dtype = bool(self.rng.integers(2)), self._dtype()
        width = (lmax + 1) * nchannels * (2 if passed else 1)
        center = self._integers(0, natoms, npairs)
        arguments = {
            "center": self._np.sort(center) if self.rng.integers(5) else center,
            "atom": self._integers(0, natoms, npairs),
        }
        shapes = {
            "radial": [npairs, width],
            "rows": [npairs, (lmax + 1) ** 2],
            "sent": [natoms, nchannels],
            "tensors": [(lmax + 1) ** 2, natoms, nchannels],
        }
        for name, shape in shapes.items():
            arguments[name] = self.rng.normal(size=self._shape(shape)).astype(dtype)
        attributes = {"lmax": lmax, "passed": passed}
        if self.rng.integers(2):
            self._ops.dd_gather(**arguments, **attributes)
        else:
            grad = self.rng.normal(size=self._shape(shapes["tensors"])).astype(dtype)
            self._ops.dd_gather_grad(grad=grad, **arguments, **attributes)

    def _grouped(self) -> None:
        nrows, ngroups, nin, nout = (int(n) for n in self.rng.integers(0, [60, 5, 9, 9]))
        dtype = self._dtype()
        arguments = {
            "x": self.rng.normal(size=self._shape([nrows, nin])).astype(dtype),
            "weight": self.rng.normal(size=self._shape([ngroups, nin, nout])).astype(dtype),
            "group": self._integers(0, ngroups, nrows),
        }
        if self.rng.integers(2):
            self._ops.dd_grouped_mat_mul(**arguments)
        else:
            grad = self.rng.normal(size=self._shape([nrows, nout])).astype(dtype)
            self._ops.dd_grouped_mat_mul_grad(grad=grad, **arguments)

    def _coupling(self) -> None:
        nlm, n, m, nterms = (int(k) for k in self.rng.integers(0, [26, 9, 70, 40]))
        dtype = self._dtype()
        self._ops.dd_coupling(
            left=self.rng.normal(size=self._shape([nlm, n, m])).astype(dtype),
            right=self.rng.normal(size=self._shape([nlm, n, m])).astype(dtype),
            term=self._terms(nterms, nlm),
            value=self.rng.normal(size=self._shape([nterms])).astype(dtype),
        )

    def _terms(self, nterms: int, nlm: int):
        term = self._integers(0, nlm, 3 * nterms)
        if term.size == 3 * nterms:
            term = term.reshape(nterms, 3)
            term = term[self._np.argsort(term[:, 0])]
        return term

    def _pair_products(self) -> None:
        npairs, natoms, nchannels, lmax, nterms = (
            int(k) for k in self.rng.integers(0, [50, 9, 40, 5, 40])
        )
        nlm, dtype = (lmax + 1) ** 2, self._dtype()
        shapes = {
            "radial": [npairs, (lmax + 1) * nchannels],
            "rows": [npairs, nlm],
            "tensors": [nlm, natoms, nchannels],
            "value": [nterms],
        }
        arguments = {
            "center": self._np.sort(self._integers(0, natoms, npairs)),
            "atom": self._integers(0, natoms, npairs),
            "term": self._terms(nterms, nlm),
        }
        for name, shape in shapes.items():
            arguments[name] = self.rng.normal(size=self._shape(shape)).astype(dtype)
        if self.rng.integers(2):
            self._ops.dd_gather_products(**arguments, lmax=lmax)
        else:
            grad = self.rng.normal(size=self._shape(shapes["tensors"])).astype(dtype)
            self._ops.dd_gather_products_grad(grad=grad, **arguments, lmax=lmax)

    def _interpolate(self) -> None:
        n, nnodes, width = (int(k) for k in self.rng.integers(0, [40, 20, 40]))
        dtype = self._dtype()
        x = self.rng.uniform(0, max(nnodes - 1, 0), self._shape([n])).astype(dtype)
        if self._odd() and x.size:
            x.flat[0] = self._number()
        nodes = self.rng.normal(size=self._shape([nnodes, width])).astype(dtype)
        if self.rng.integers(2):
            self._ops.dd_interpolate(x=x, nodes=nodes)
        else:
            grad = self.rng.normal(size=self._shape([n, width])).astype(dtype)
            self._ops.dd_interpolate_grad(grad=grad, x=x, nodes=nodes)

    def _dtype(self) -> str:
        return ("float32", "float64")[self.rng.integers(2)]


def fuzz(library: str, seconds: float, seed: int) -> Counter:
    """Call ops until the time is over: how often each answered and refused.

    Raises
    ------
    RuntimeError
        An op raised anything but InvalidArgument, or an end of the memory; the seed is named.
    """
    import tensorflow as tf

    calls = Calls(tf.load_op_library(library), seed)
    counts: Counter = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            counts[f"{calls.any()} answered"] += 1
        except (tf.errors.InvalidArgumentError, ValueError):
            counts["refused"] += 1  # ValueError: TensorFlow itself refuses an attribute
        except tf.errors.ResourceExhaustedError:
            counts["out of memory"] += 1  # grids of any size may be asked for
        except Exception as error:
            number = sum(counts.values())
            raise RuntimeError(f"seed {seed}, call {number}: {error!r} {error}") from error
    return counts


def main() -> int:
    """Build, re-run under the sanitizers, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--plain", action="store_true", help="without sanitizers")
    parser.add_argument("--library", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.library is None and not args.plain:
        return run_sanitized(["--seconds", str(args.seconds), "--seed", str(args.seed)])
    library = args.library
    if library is None:
        from deepdensity_tf.utils.ops import LIBRARY as library  # noqa: N811
    counts = fuzz(str(library), args.seconds, args.seed)
    print(f"seed {args.seed}: {sum(counts.values())} calls, no crash")
    for name, count in sorted(counts.items()):
        print(f"  {name}: {count}")
    return 0


_Raw = argparse.RawDescriptionHelpFormatter

if __name__ == "__main__":
    sys.exit(main())
