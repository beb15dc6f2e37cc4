"""Evaluation of a frozen model."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

from deepdensity_tf.utils import ops
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.foreign_graph import graph_fault, read_model_file
from deepdensity_tf.utils.paw_blocks import Channels, Occupancies, channels_from
from deepdensity_tf.utils.shipped import model_path
from deepdensity_tf.utils.whole import whole_numbers

_VERSIONS = ("1.0",)
_ATOM_STATE = ("atom_state/coef", "atom_state/scalars", "atom_state/tensors")
_MAX_POINTS = 2**18  # at once; those of the C library, so that both have the same numbers
_MAX_ELEMENTS = 2**31  # of one tensor
COMPRESSION = "model_attr/compression"
CALIBRATION = "model_attr/calibration"
# What the graph of a model holds: type, number of axes, and the tensor that does not go without
# where not every model has it. As in op/c_api/model.cc.
_CONTRACT = {
    "t_coord": (tf.float64, 3, None),
    "t_type": (tf.int32, 1, None),
    "t_box": (tf.float64, 2, None),
    "t_point": (tf.float64, 3, None),
    "o_density": (tf.float64, 2, None),
    "o_density_grad": (tf.float64, 3, None),
    "o_spin_density": (tf.float64, 2, "o_spin_density"),
    "o_electrons": (tf.float64, 1, "o_electrons"),
    "o_neighbors": (tf.int32, 2, "o_neighbors"),
    "o_deviation": (tf.float64, 1, "o_deviation"),
    "o_atom_deviation": (tf.float64, 2, "o_deviation"),
    "o_augmentation": (tf.float64, 3, "o_augmentation"),
    "o_spin_augmentation": (tf.float64, 3, "o_spin_augmentation"),
    "t_grid_shape": (tf.int32, 1, "o_grid_parts"),
    "t_grid_box": (tf.float64, 1, "o_grid_parts"),
    "t_grid_part": (tf.int32, 1, "o_grid_parts"),
    "o_grid_parts": (tf.int32, 2, "o_grid_parts"),
    "o_grid_density": (tf.float64, 1, "o_grid_parts"),
    "o_grid_spin_density": (tf.float64, 1, "o_grid_spin_density"),
}


class DeepDensity:
    """A frozen model: density and its gradient at any points.

    Parameters
    ----------
    model_file : str or Path
        A graph written by `dd-tf freeze`, or the name of a model that comes with the package
        (`dd-tf models`) where no file of that name exists.
    max_pairs : int, optional
        Pairs of a point and an atom held in memory at once; the default suits the model.

    Attributes
    ----------
    type_map : list of str
        Elements, in the order of the types.
    rcut, rcut_point : float
        Cut-offs between atoms and of an atom's density, Å.
    model_type, model_version : str
        Fitting type; version of the graph's contract.
    training_script : dict
        The input it was trained with.
    info : dict
        Further metadata: number of parameters, version of the package.
    has_spin, has_electrons, has_deviation : bool
        What it can tell beside the density.
    calibration : dict
        How its errors go with its deviation (see infer.uncertainty); empty where not known.
    baseline : np.ndarray or None
        Spline coefficients (ntypes, nspline) of the atomic densities the nets start from (see
        utils.radial); None in models that do not carry them.
    augmentation : Channels or None
        What the PAW occupancies are that it predicts; None where it predicts none.
    elements_seen : np.ndarray
        (ntypes, 2) atoms and frames of each element in the training data; zeros where not known.

    Raises
    ------
    InputError
        Missing file, not a graph, not a graph of this package, another version.

    Examples
    --------
    >>> model = DeepDensity("frozen_model.pb")  # doctest: +SKIP
    >>> model.eval(coord, None, model.atype_of(["C", "H"]), points)  # doctest: +SKIP
    """

    def __init__(self, model_file: str | Path, max_pairs: int | None = None):
        ops.library()
        self._file = model_path(model_file)
        graph_def = read_graph(self._file)
        graph = tf.Graph()
        with graph.as_default():
            try:
                tf.import_graph_def(graph_def, name="")
            except (ValueError, TypeError, KeyError, tf.errors.OpError) as error:
                raise InputError(
                    f"{self._file}: not a usable graph ({str(error).splitlines()[0]})"
                ) from None
        self._check_shapes(graph)
        self._session = start_session(graph)
        version = self._text("model_attr/model_version")
        if version not in _VERSIONS:
            raise InputError(
                f"{self._file}: model version {version}, expected {' or '.join(_VERSIONS)}; "
                "freeze the model anew, or use the version of deepdensity_tf that froze it"
            )
        self.model_version = version
        self.type_map = self._text("model_attr/type_map").split()
        self.rcut = self._number("model_attr/rcut")
        self.rcut_point = self._number("model_attr/rcut_point")
        self.model_type = self._text("model_attr/model_type")
        self.training_script = self._mapping("train_attr/training_script", "model", dict)
        self.info = {
            "nparameters": int(self._number("model_attr/nparameters")),
            "package_version": self._text("model_attr/package_version"),
        }
        operations = {operation.name: operation for operation in graph.get_operations()}
        if "train_attr/data_checksum" in operations:  # models of older versions have none
            self.info["data_checksum"] = self._text("train_attr/data_checksum")
        if COMPRESSION in operations:
            self.info["compression"] = self._mapping(COMPRESSION, "step", float)
        self.has_spin = "o_spin_density" in operations
        self._has_grid = "o_grid_parts" in operations
        self._has_neighbors = "o_neighbors" in operations
        self.has_electrons = "o_electrons" in operations
        self.has_deviation = "o_deviation" in operations
        self.calibration: dict = {}
        if CALIBRATION in operations:
            self.calibration = self._mapping(CALIBRATION, "factor", float)
        stored = "model_attr/baseline" in operations
        self.baseline = self._attribute("model_attr/baseline") if stored else None
        self.augmentation = self._augmentation(operations)
        self.elements_seen = self._elements_seen(operations)
        # What points need of the atoms; a model without a net for each pair needs the table alone.
        self._atom_tensors = [f"{name}:0" for name in _ATOM_STATE if name in operations]
        self._check_contract(operations)
        self._max_pairs = max_pairs or int(self._number("model_attr/max_pairs"))

    def atype_of(self, symbols: list[str]) -> np.ndarray:
        """Types (natoms,) int32 of chemical symbols.

        Raises
        ------
        InputError
            An element the model does not know.
        """
        unknown = sorted(set(symbols) - set(self.type_map))
        if unknown:
            raise InputError(
                f"{self._file}: knows {' '.join(self.type_map)}, found {' '.join(unknown)}"
            )
        return np.array([self.type_map.index(s) for s in symbols], dtype=np.int32)

    def eval(self, coord, box, atype, points) -> np.ndarray:
        """Density at points.

        Parameters
        ----------
        coord : array_like
            (natoms, 3) or (nframes, natoms, 3), Å.
        box : array_like or None
            (3, 3) or (9,) rows in Å, or one for each frame; None: not periodic.
        atype : array_like
            (natoms,) types, in the order of `type_map`.
        points : array_like
            (npoints, 3) or (nframes, npoints, 3), Å; wrapped if periodic.

        Returns
        -------
        np.ndarray
            (npoints,) or (nframes, npoints) float64, electrons/Å^3; 0 where no atom is within
            `rcut_point`.

        Raises
        ------
        InputError
            Wrong shapes, NaN, types out of range, a box of zero volume.
        """
        return self._eval("o_density:0", coord, box, atype, points, ())

    def eval_gradient(self, coord, box, atype, points) -> np.ndarray:
        """d rho / d r at points: as `eval`, with a last axis of 3, electrons/Å^4."""
        return self._eval("o_density_grad:0", coord, box, atype, points, (3,))

    def eval_spin(self, coord, box, atype, points) -> np.ndarray:
        """Spin density, up minus down: as `eval`.

        Raises
        ------
        InputError
            Also where the model was trained without spin.
        """
        return self._eval(self._density_tensor(spin=True), coord, box, atype, points, ())

    def eval_electrons(self, coord, box, atype) -> np.ndarray:
        """Electrons of each frame, (nframes,), integrated exactly and without a grid.

        Where the model conserves electrons (`model.electrons` of the input), this is their number
        before the correction: its distance from the whole number is the size of the correction.

        Raises
        ------
        InputError
            Also where the model's fitting type has no such integral.
        """
        if not self.has_electrons:
            raise InputError(f"{self._file}: fitting type {self.model_type} has no exact integral")
        frame = self._frame(coord, box, atype)
        nframes = len(frame["t_coord:0"])
        return self._of_atoms(["o_electrons:0"], frame, [(nframes,)])[0]

    def eval_deviation(self, coord, box, atype) -> tuple[np.ndarray, np.ndarray]:
        """How far the members of an ensemble lie apart: of frames (nframes,), of atoms.

        100 times the integral of their standard deviation over that of the density, percent, over
        the regions of all atoms together and of each atom (nframes, natoms).

        Raises
        ------
        InputError
            Also where the model is a single one.
        """
        if not self.has_deviation:
            raise InputError(f"{self._file}: is a single model, expected an ensemble")
        frame = self._frame(coord, box, atype)
        nframes, natoms = frame["t_coord:0"].shape[:2]
        names, shapes = ["o_deviation:0", "o_atom_deviation:0"], [(nframes,), (nframes, natoms)]
        of_frames, of_atoms = self._of_atoms(names, frame, shapes)
        return of_frames, of_atoms

    def eval_augmentation(self, coord, box, atype) -> Occupancies:
        """PAW occupancies of the atoms of one frame.

        Parameters
        ----------
        coord, box, atype : array_like
            As in `eval`, one frame.

        Returns
        -------
        Occupancies
            `total` (natoms, width), with spin also `spin`, in the order of the atoms; NaN behind
            the numbers of an element that has fewer.

        Raises
        ------
        InputError
            Also where the model was trained without them.
        """
        if self.augmentation is None:
            raise InputError(f"{self._file}: was trained without PAW occupancies")
        frame = self._frame(coord, box, atype)
        if len(frame["t_coord:0"]) != 1:
            raise InputError(f"coord holds {len(frame['t_coord:0'])} frames, expected one")
        names = ["o_augmentation:0"] + (["o_spin_augmentation:0"] if self.has_spin else [])
        shape = (1, len(frame["t_type:0"]), self.augmentation.width)
        sets = self._of_atoms(names, frame, [shape] * len(names))
        return Occupancies(self.augmentation, *(values[0] for values in sets))

    def eval_grid(
        self,
        coord,
        box,
        atype,
        grid_shape,
        pbc: bool = True,
        progress: Callable[[int, int], None] | None = None,
        spin: bool = False,
    ) -> np.ndarray:
        """Density on the regular grid of a cell.

        Parameters
        ----------
        coord, atype : array_like
            One frame, as in `eval`.
        box : array_like
            (3, 3) or (9,) rows in Å that span the grid.
        grid_shape : sequence of int
            (nx, ny, nz); point (i, j, k) lies at fractional (i/nx, j/ny, k/nz).
        pbc : bool
            False: the atoms have no periodic images.
        progress : callable, optional
            Called with the points done and the points in all after each chunk.
        spin : bool
            The spin density instead.

        Returns
        -------
        np.ndarray
            (nx, ny, nz) float64, electrons/Å^3.
        """
        box = _array(box, "box", (-1,)).reshape(-1)
        if box.shape != (9,):
            raise InputError(f"box has {box.size} numbers, expected 9")
        shape = tuple(whole_numbers(grid_shape, "grid_shape").ravel().tolist())
        if len(shape) != 3 or not all(0 < n < 2**31 for n in shape):
            raise InputError(f"grid_shape is {shape}, expected three positive numbers")
        frame = self._frame(coord, box if pbc else None, atype)
        name = self._density_tensor(spin)
        density = np.zeros(shape)
        chunks = self._grid_parts if self._has_grid else self._grid_blocks
        done = 0
        for where, values in chunks(name, frame, box.reshape(3, 3), shape):
            density[where] = values
            done += values.size
            if progress:
                progress(done, density.size)
        if progress and done < density.size:  # the rest is out of reach of all atoms
            progress(density.size, density.size)
        return density

    def _grid_parts(self, name, frame, cell, shape) -> Iterator[tuple]:
        """Slices of the grid and their densities, by the op that knows grids."""
        grid = {"t_grid_shape:0": shape, "t_grid_box:0": cell.reshape(-1)}
        parts = self._run("o_grid_parts:0", {**frame, **grid})
        if parts.ndim != 2 or parts.shape[1] != 6 or not _within(parts, shape):
            raise InputError(f"{self._file}: o_grid_parts lie outside of the grid")
        feeds = {**frame, **grid, **self._atom_state(frame, len(parts))}
        name = name.replace("o_", "o_grid_")
        for part in parts:
            size = part[3:] - part[:3]
            values = self._values(name, {**feeds, "t_grid_part:0": part}, (int(np.prod(size)),))
            yield tuple(slice(*ends) for ends in part.reshape(2, 3).T), values.reshape(size)

    def _grid_blocks(self, name, frame, cell, shape) -> Iterator[tuple]:
        """Blocks of the grid and their densities, by their points."""
        blocks = list(_blocks(shape, _MAX_POINTS))
        feeds = {**frame, **self._atom_state(frame, 2)}
        # Steps along each cell vector, (n, 3): a point is the sum of three.
        steps = [np.arange(n)[:, None] / n * row for n, row in zip(shape, cell, strict=True)]
        for block in blocks:
            a, b, c = (row[part] for row, part in zip(steps, block, strict=True))
            points = a[:, None, None] + b[:, None] + c
            values = self._in_chunks(name, feeds, points.reshape(-1, 3), ())
            yield block, values.reshape(points.shape[:3])

    def _density_tensor(self, spin: bool) -> str:
        if spin and not self.has_spin:
            raise InputError(f"{self._file}: was trained without spin")
        return "o_spin_density:0" if spin else "o_density:0"

    def _eval(self, name, coord, box, atype, points, tail) -> np.ndarray:
        frame = self._frame(coord, box, atype)
        points = _array(points, "points", (-1, 3))
        many = points.ndim == 3
        if not many:
            points = points[None]
        nframes = len(frame["t_coord:0"])
        if len(points) != nframes:
            raise InputError(f"points holds {len(points)} frames, coord {nframes}")
        out = np.empty((*points.shape[:2], *tail))
        for f in range(nframes):
            one = {"t_coord:0": frame["t_coord:0"][f : f + 1], "t_type:0": frame["t_type:0"]}
            one["t_box:0"] = frame["t_box:0"][f : f + 1]
            out[f] = self._in_chunks(name, one, points[f], tail)
        return out if many or np.ndim(coord) == 3 else out[0]

    def _frame(self, coord, box, atype) -> dict[str, np.ndarray]:
        """Checked inputs without points, all with a frame axis."""
        coord = _array(coord, "coord", (-1, 3))
        coord = coord if coord.ndim == 3 else coord[None]
        atype = whole_numbers(atype, "atype")
        if atype.shape != coord.shape[1:2]:
            raise InputError(f"atype has shape {atype.shape}, expected ({coord.shape[1]},)")
        if atype.size and not (0 <= atype.min() and atype.max() < len(self.type_map)):
            raise InputError(
                f"atype holds {atype.min()} to {atype.max()}, "
                f"expected 0 to {len(self.type_map) - 1}"
            )
        self._refuse_unseen(atype)
        atype = atype.astype(np.int32)
        cell = np.zeros(9) if box is None else _array(box, "box", (-1,))
        if cell.size not in (9, 9 * len(coord)):
            raise InputError(f"box has {cell.size} numbers, expected 9 or 9 for each frame")
        cell = np.broadcast_to(cell.reshape(-1, 9), (len(coord), 9))
        return {"t_coord:0": coord, "t_type:0": atype, "t_box:0": cell}

    def _refuse_unseen(self, atype: np.ndarray) -> None:
        """No model knows an element of its type map that no training frame held."""
        unseen = [self.type_map[t] for t in np.unique(atype) if not self.elements_seen[t, 0]]
        if unseen and self.elements_seen.any():
            known = [
                e for e, seen in zip(self.type_map, self.elements_seen, strict=True) if seen[0]
            ]
            raise InputError(
                f"{self._file}: found {' '.join(unseen)} in the structure; its type_map "
                f"has them, but none of its training data, which held {' '.join(known)}"
            )

    def _atom_state(self, frame: dict, nchunks: int) -> dict[str, np.ndarray]:
        """What chunks of points share, computed once; a single chunk needs it not apart."""
        if nchunks <= 1:
            return {}
        values = self._run(self._atom_tensors, {**frame, "t_point:0": np.zeros((1, 0, 3))})
        return dict(zip(self._atom_tensors, values, strict=True))

    def _in_chunks(self, name: str, feeds: dict, points: np.ndarray, tail: tuple) -> np.ndarray:
        """A tensor at points (npoints, 3) of one frame, so many at once as fit in memory."""
        chunks = list(self._chunks(feeds, points))
        if any(key not in feeds for key in self._atom_tensors):
            feeds = {**feeds, **self._atom_state(feeds, len(chunks))}
        out = np.empty((len(points), *tail))
        for chunk in chunks:
            some = points[None, chunk]
            shape = (1, some.shape[1], *tail)
            out[chunk] = self._values(name, {**feeds, "t_point:0": some}, shape)[0]
        return out

    def _chunks(self, feeds: dict, points: np.ndarray) -> Iterator[slice]:
        """Stretches of points whose pairs fit in memory."""
        most = max(1, self._max_pairs // max(1, feeds["t_coord:0"].shape[1]))
        for begin in range(0, len(points), _MAX_POINTS):
            end = min(begin + _MAX_POINTS, len(points))
            if not self._has_neighbors:
                for first in range(begin, end, most):
                    yield slice(first, min(first + most, end))
                continue
            some = {**feeds, "t_point:0": points[None, begin:end]}
            counts = self._values("o_neighbors:0", some, (1, end - begin))[0]
            ends = begin + ends_of_chunks(counts, self._max_pairs)
            yield from (slice(a, b) for a, b in itertools.pairwise([begin, *ends]))

    def _of_atoms(self, names: list[str], frame: dict, shapes: list[tuple]) -> list[np.ndarray]:
        """Tensors that need no points, in one run: they share the work of the atoms."""
        found = self._run(names, {**frame, "t_point:0": np.zeros((len(frame["t_coord:0"]), 0, 3))})
        return [self._shaped(*item) for item in zip(names, found, shapes, strict=True)]

    def _values(self, name: str, feeds: dict, shape: tuple[int, ...]) -> np.ndarray:
        """A tensor that must have the given shape."""
        return self._shaped(name, self._run(name, feeds), shape)

    def _shaped(self, name: str, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        if values.shape != shape:
            raise InputError(
                f"{self._file}: {name} has shape {values.shape}, expected {tuple(shape)}"
            )
        return values

    def _run(self, names, feeds: dict):
        try:
            return self._session.run(names, feeds)
        except tf.errors.ResourceExhaustedError:
            raise MemoryError(f"{self._file}: a chunk of points; give fewer max_pairs") from None
        except (tf.errors.OpError, ValueError, TypeError) as error:
            # Also feeds whose shape a damaged graph does not take.
            reason = ops.own_message(error) if isinstance(error, tf.errors.OpError) else error
            raise InputError(f"{self._file}: {reason}") from None

    def _attribute(self, name: str):
        try:
            return self._session.run(f"{name}:0")
        except (KeyError, ValueError, TypeError):
            raise InputError(
                f"{self._file}: has no tensor {name}, expected a model frozen by dd-tf freeze"
            ) from None
        except tf.errors.OpError as error:
            raise InputError(
                f"{self._file}: {name} cannot be read ({ops.own_message(error)})"
            ) from None

    def _augmentation(self, operations) -> Channels | None:
        if "o_augmentation" not in operations:
            return None
        name = "model_attr/augmentation"
        return channels_from(self._text(name), f"{self._file}: {name}")

    def _elements_seen(self, operations) -> np.ndarray:
        """Atoms and frames of each type trained on, (ntypes, 2); zeros where not known."""
        name, shape = "model_attr/elements_seen", (len(self.type_map), 2)
        if name not in operations:
            return np.zeros(shape, np.int64)
        seen = np.asarray(self._attribute(name))
        if seen.shape != shape or seen.dtype != np.int64:
            raise InputError(f"{self._file}: {name} is damaged, expected counts of shape {shape}")
        return seen

    def _text(self, name: str) -> str:
        value = self._attribute(name)
        if not isinstance(value, bytes):
            raise InputError(f"{self._file}: {name} is no text, expected a model of dd-tf freeze")
        return value.decode(errors="replace")

    def _number(self, name: str) -> float:
        value = np.asarray(self._attribute(name))
        if value.shape or value.dtype.kind not in "fiu" or not 0 < value < np.inf:
            raise InputError(f"{self._file}: {name} is {value}, expected a positive number")
        return float(value)

    def _mapping(self, name: str, key: str, kind: type) -> dict:
        """A JSON mapping that has at least `key`, of the given kind."""
        text = self._text(name)
        try:
            mapping = json.loads(text)
        except (json.JSONDecodeError, RecursionError):
            mapping = None
        if not isinstance(mapping, dict) or not isinstance(mapping.get(key), kind):
            raise InputError(f"{self._file}: {name} is damaged, expected a mapping with {key!r}")
        return mapping

    def _check_shapes(self, graph: tf.Graph) -> None:
        """Refuse shapes on which TensorFlow may end the process; as in op/c_api/session.cc."""
        for operation in graph.get_operations():
            for output in operation.outputs:
                dims = output.shape.as_list() if output.shape.rank is not None else []
                if math.prod(max(n or 1, 1) for n in dims) > _MAX_ELEMENTS:
                    raise InputError(
                        f"{self._file}: refused: makes a shape of more than {_MAX_ELEMENTS} "
                        f"elements (node '{operation.name}')"
                    )

    def _check_contract(self, operations: dict) -> None:
        needed = {name for name, (*_, by) in _CONTRACT.items() if by is None or by in operations}
        for other, name in (
            ("o_grid_parts", "o_grid_spin_density"),
            ("o_augmentation", "o_spin_augmentation"),
        ):
            if {other, "o_spin_density"} <= operations.keys():
                needed.add(name)
        for name, (dtype, axes, _) in _CONTRACT.items():
            if name not in needed:
                continue
            outputs = operations[name].outputs if name in operations else []
            if not outputs or outputs[0].dtype != dtype:
                raise InputError(
                    f"{self._file}: has no {dtype.name} tensor {name}, expected a model frozen by "
                    "dd-tf freeze"
                )
            if outputs[0].shape.rank not in (None, axes):
                raise InputError(
                    f"{self._file}: tensor {name} has {outputs[0].shape.rank} axes, expected {axes}"
                )
        for name in self._atom_tensors:
            if not operations[name.removesuffix(":0")].outputs:
                raise InputError(
                    f"{self._file}: has no tensor {name}, expected a model frozen by dd-tf freeze"
                )


def ends_of_chunks(counts: np.ndarray, most: int) -> np.ndarray:
    """Cut a row of counts into stretches of one or more that add up to at most `most`."""
    total = np.cumsum(counts, dtype=np.int64)
    ends: list[int] = []
    begin, before = 0, 0
    while begin < len(counts):
        begin = max(begin + 1, int(np.searchsorted(total, before + most, side="right")))
        before = total[begin - 1]
        ends.append(begin)
    return np.array(ends, dtype=np.int64)


def _within(parts: np.ndarray, shape: tuple[int, int, int]) -> bool:
    """Whether parts of a grid, (nparts, 6) first points and ends, lie inside of it."""
    begin, end = parts[:, :3], parts[:, 3:]
    return bool(((begin >= 0) & (begin <= end) & (end <= shape)).all())


def _blocks(shape: tuple[int, int, int], size: int) -> Iterator[tuple[slice, slice, slice]]:
    """Cut a grid into blocks of at most `size` points, as compact as the grid allows."""
    edges = list(shape)
    while np.prod(edges) > size:
        longest = int(np.argmax(edges))
        edges[longest] = -(-edges[longest] // 2)
    cuts = [
        [slice(i, min(i + edge, n)) for i in range(0, n, edge)]
        for n, edge in zip(shape, edges, strict=True)
    ]
    yield from itertools.product(*cuts)


def start_session(graph: tf.Graph) -> tf.compat.v1.Session:
    """A session that rewrites a graph once.

    TensorFlow's second round finds nothing in these graphs and takes as long as the first, for each
    tensor that is asked for. As in op/c_api/session.cc, so that both have the same numbers.
    """
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.meta_optimizer_iterations = RewriterConfig.ONE
    return tf.compat.v1.Session(graph=graph, config=config)


def read_graph(path: Path) -> tf.compat.v1.GraphDef:
    """The graph in a file; InputError where there is none, or one that does more than compute."""
    data = read_model_file(path)
    fault = graph_fault(data)
    if fault:
        raise InputError(f"{path}: {fault}")
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(data)
    except DecodeError:
        raise InputError(f"{path}: not a graph or truncated, expected a frozen model") from None
    return graph


def _array(value, name: str, tail: tuple[int, ...]) -> np.ndarray:
    """Float64 array, finite, with the given last axes (-1: any)."""
    try:
        if np.iscomplexobj(value):
            raise TypeError
        array = np.ascontiguousarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} is not an array of numbers") from None
    if len(tail) == 2 and (array.ndim not in (2, 3) or array.shape[-1] != tail[-1]):
        raise InputError(f"{name} has shape {array.shape}, expected (n, 3) or (nframes, n, 3)")
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds NaN or infinity")
    return array
