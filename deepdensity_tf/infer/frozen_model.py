"""What a frozen model says of itself, and that its graph holds what it must."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deepdensity_tf.infer.session import GraphSession
from deepdensity_tf.utils import graph_names
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.paw_blocks import Channels, channels_from
from deepdensity_tf.utils.shipped import model_path

VERSIONS = ("1.0",)
_ATOM_STATE = [f"{graph_names.ATOM_STATE}/{name}" for name in ("coef", "scalars", "tensors")]
# What the graph of a model holds: type, number of axes, and the tensor that does not go without
# where not every model has it. As in op/c_api/model.cc.
_CONTRACT = {
    "t_coord": (np.float64, 3, None),
    "t_type": (np.int32, 1, None),
    "t_box": (np.float64, 2, None),
    "t_point": (np.float64, 3, None),
    "o_density": (np.float64, 2, None),
    "o_density_grad": (np.float64, 3, None),
    "o_spin_density": (np.float64, 2, "o_spin_density"),
    "o_electrons": (np.float64, 1, "o_electrons"),
    "o_neighbors": (np.int32, 2, "o_neighbors"),
    "o_deviation": (np.float64, 1, "o_deviation"),
    "o_atom_deviation": (np.float64, 2, "o_deviation"),
    "o_augmentation": (np.float64, 3, "o_augmentation"),
    "o_spin_augmentation": (np.float64, 3, "o_spin_augmentation"),
    "t_grid_shape": (np.int32, 1, "o_grid_parts"),
    "t_grid_box": (np.float64, 1, "o_grid_parts"),
    "t_grid_part": (np.int32, 1, "o_grid_parts"),
    "o_grid_parts": (np.int32, 2, "o_grid_parts"),
    "o_grid_density": (np.float64, 1, "o_grid_parts"),
    "o_grid_spin_density": (np.float64, 1, "o_grid_spin_density"),
}
# Tensors that go without one another unless the model has spin.
_WITH_SPIN = {"o_grid_parts": "o_grid_spin_density", "o_augmentation": "o_spin_augmentation"}


class FrozenModel:
    """The graph of a model, judged when loaded, and its metadata: see `DeepDensity`."""

    def __init__(self, model_file: str | Path):
        self._file = model_path(model_file)
        graph = self._graph = GraphSession(self._file)
        self.model_version = self._version()
        self.type_map = graph.text(graph_names.TYPE_MAP).split()
        self.rcut = graph.number(graph_names.RCUT)
        self.rcut_point = graph.number(graph_names.RCUT_POINT)
        self.model_type = graph.text(graph_names.MODEL_TYPE)
        self.training_script = graph.mapping(graph_names.TRAINING_SCRIPT, "model", dict)
        self.info = self._info()
        self.has_spin = "o_spin_density" in graph
        self.has_electrons = "o_electrons" in graph
        self.has_initial_magmom = graph_names.INITIAL_MAGMOM in graph
        self.has_deviation = "o_deviation" in graph
        self.calibration: dict = {}
        if graph_names.CALIBRATION in graph:
            self.calibration = graph.mapping(graph_names.CALIBRATION, "factor", float)
        self.baseline = (
            graph.constant(graph_names.BASELINE) if graph_names.BASELINE in graph else None
        )
        self.augmentation = self._augmentation()
        self.elements_seen = self._elements_seen()
        # What points need of the atoms; a model without a net for each pair needs the table alone.
        self._atom_tensors = [f"{name}:0" for name in _ATOM_STATE if name in graph]
        self._check_contract()

    def _version(self) -> str:
        version = self._graph.text(graph_names.MODEL_VERSION)
        if version not in VERSIONS:
            raise InputError(
                f"{self._file}: model version {version}, expected {' or '.join(VERSIONS)}; "
                "freeze the model anew, or use the version of deepdensity_tf that froze it"
            )
        return version

    def _info(self) -> dict:
        graph = self._graph
        info = {
            "nparameters": int(graph.number(graph_names.NPARAMETERS)),
            "package_version": graph.text(graph_names.PACKAGE_VERSION),
        }
        if graph_names.DATA_CHECKSUM in graph:  # models of older versions have none
            info["data_checksum"] = graph.text(graph_names.DATA_CHECKSUM)
        if graph_names.COMPRESSION in graph:
            info["compression"] = graph.mapping(graph_names.COMPRESSION, "step", float)
        return info

    def _augmentation(self) -> Channels | None:
        if "o_augmentation" not in self._graph:
            return None
        text = self._graph.text(graph_names.AUGMENTATION)
        return channels_from(text, f"{self._file}: {graph_names.AUGMENTATION}")

    def _elements_seen(self) -> np.ndarray:
        """Atoms and frames of each type trained on, (ntypes, 2); zeros where not known."""
        name, shape = graph_names.ELEMENTS_SEEN, (len(self.type_map), 2)
        if name not in self._graph:
            return np.zeros(shape, np.int64)
        seen = np.asarray(self._graph.constant(name))
        if seen.shape != shape or seen.dtype != np.int64:
            raise InputError(f"{self._file}: {name} is damaged, expected counts of shape {shape}")
        return seen

    def _check_contract(self) -> None:
        operations = self._graph.operations
        needed = {name for name, (*_, by) in _CONTRACT.items() if by is None or by in operations}
        if self.has_spin:
            needed |= {name for other, name in _WITH_SPIN.items() if other in operations}
        for name, (dtype, axes, _) in _CONTRACT.items():
            if name not in needed:
                continue
            outputs = operations.get(name)
            if not outputs or outputs[0].dtype != dtype:
                raise self._lacks(f"{dtype.__name__} tensor {name}")
            shape = outputs[0].shape
            if shape is not None and len(shape) != axes:
                raise InputError(
                    f"{self._file}: tensor {name} has {len(shape)} axes, expected {axes}"
                )
        for name in self._atom_tensors:
            if not operations[name.removesuffix(":0")]:
                raise self._lacks(f"tensor {name}")

    def _lacks(self, what: str) -> InputError:
        return InputError(f"{self._file}: has no {what}, expected a model frozen by dd-tf freeze")
