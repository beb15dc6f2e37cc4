"""Evaluation of a frozen model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.infer.chunks import ChunkedPoints
from deepdensity_tf.infer.frozen_model import FrozenModel
from deepdensity_tf.utils import graph_names
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.paw_blocks import Occupancies
from deepdensity_tf.utils.signed_types import number_of_types, signed_types
from deepdensity_tf.utils.whole import whole_numbers

if TYPE_CHECKING:
    from ase import Atoms

    from deepdensity_tf.data.frame import Frame


class DeepDensity(FrozenModel):
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
    has_initial_magmom : bool
        Whether types say the signs of the atoms' initial moments too (see `atype_of`).
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
        super().__init__(model_file)
        max_pairs = max_pairs or int(self._graph.number(graph_names.MAX_PAIRS))
        self._points = ChunkedPoints(self._graph, self._atom_tensors, max_pairs)

    def atype_of(self, symbols: list[str], magmom: Sequence[float] | None = None) -> np.ndarray:
        """Types (natoms,) int32 of chemical symbols.

        Parameters
        ----------
        symbols : list of str
            Elements.
        magmom : sequence of float, optional
            Initial moments, whose signs count: of models that take them (`has_initial_magmom`;
            `utils.signed_types` says how), else without effect.

        Raises
        ------
        InputError
            An element the model does not know; no moments where it takes them.
        """
        unknown = sorted(set(symbols) - set(self.type_map))
        if unknown:
            raise InputError(
                f"{self._file}: knows {' '.join(self.type_map)}, found {' '.join(unknown)}"
            )
        atype = np.array([self.type_map.index(s) for s in symbols], dtype=np.int32)
        if not self.has_initial_magmom:
            return atype
        if magmom is None:
            raise InputError(
                f"{self._file}: takes the signs of the atoms' initial moments, found none "
                "(--magmom, or initial_magmoms of ASE's atoms)"
            )
        return signed_types(atype, _array(magmom, "magmom", (-1,)), len(self.type_map))

    def types_of(self, atoms: Atoms) -> np.ndarray:
        """Types of ASE's atoms, with their initial moments where the model takes them."""
        magmom = atoms.arrays.get("initial_magmoms")
        return self.atype_of(atoms.get_chemical_symbols(), magmom)

    def types_of_frame(self, frame: Frame) -> np.ndarray:
        """Types of a frame of a system that was read with the model's type map."""
        if self.has_initial_magmom:
            return frame.signed_types(len(self.type_map))
        return frame.atype

    def elements_of(self, atype: np.ndarray) -> np.ndarray:
        """The places in `type_map` of types, whatever their moments."""
        return np.asarray(atype) % len(self.type_map)

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
        done = 0
        for where, values in self._points.on_grid(name, frame, box.reshape(3, 3), shape):
            density[where] = values
            done += values.size
            if progress:
                progress(done, density.size)
        if progress and done < density.size:  # the rest is out of reach of all atoms
            progress(density.size, density.size)
        return density

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
            out[f] = self._points.at(name, one, points[f], tail)
        return out if many or np.ndim(coord) == 3 else out[0]

    def _frame(self, coord, box, atype) -> dict[str, np.ndarray]:
        """Checked inputs without points, all with a frame axis."""
        coord = _array(coord, "coord", (-1, 3))
        coord = coord if coord.ndim == 3 else coord[None]
        atype = whole_numbers(atype, "atype")
        if atype.shape != coord.shape[1:2]:
            raise InputError(f"atype has shape {atype.shape}, expected ({coord.shape[1]},)")
        ntypes = number_of_types(len(self.type_map), self.has_initial_magmom)
        if atype.size and not (0 <= atype.min() and atype.max() < ntypes):
            raise InputError(
                f"atype holds {atype.min()} to {atype.max()}, expected 0 to {ntypes - 1}"
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
        elements = np.unique(self.elements_of(atype))
        unseen = [self.type_map[t] for t in elements if not self.elements_seen[t, 0]]
        if unseen and self.elements_seen.any():
            known = [
                e for e, seen in zip(self.type_map, self.elements_seen, strict=True) if seen[0]
            ]
            raise InputError(
                f"{self._file}: found {' '.join(unseen)} in the structure; its type_map "
                f"has them, but none of its training data, which held {' '.join(known)}"
            )

    def _of_atoms(self, names: list[str], frame: dict, shapes: list[tuple]) -> list[np.ndarray]:
        """Tensors that need no points, in one run: they share the work of the atoms."""
        nopoint = np.zeros((len(frame["t_coord:0"]), 0, 3))
        return self._graph.shaped_together(names, {**frame, "t_point:0": nopoint}, shapes)


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
