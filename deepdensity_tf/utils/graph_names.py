"""Scopes and names in frozen graphs, which writers and readers of them share."""

from __future__ import annotations

# What depends on the atoms alone: fetched once, fed with every chunk of points.
ATOM_STATE = "atom_state"

# An embedding net: compression finds its input and output by their names in their scope.
EMBEDDING, DISTANCE, VALUES = "embedding", "distance", "values"

# Metadata, read without running the graph.
ATTRIBUTES, TRAINING = "model_attr/", "train_attr/"
TYPE_MAP = "model_attr/type_map"
RCUT = "model_attr/rcut"
RCUT_POINT = "model_attr/rcut_point"
MODEL_TYPE = "model_attr/model_type"
MODEL_VERSION = "model_attr/model_version"
PACKAGE_VERSION = "model_attr/package_version"
NPARAMETERS = "model_attr/nparameters"
NMODELS = "model_attr/nmodels"
DEVIATION_RADIUS = "model_attr/deviation_radius"
MAX_PAIRS = "model_attr/max_pairs"
BASELINE = "model_attr/baseline"
AUGMENTATION = "model_attr/augmentation"
ELEMENTS_SEEN = "model_attr/elements_seen"
VARIABLES = (
    "model_attr/variables"  # which node holds which variable of the first model: to train on
)
COMPRESSION = "model_attr/compression"
CALIBRATION = "model_attr/calibration"
TRAINING_SCRIPT = "train_attr/training_script"
DATA_CHECKSUM = "train_attr/data_checksum"

# What a graph must keep: its contract with other codes, by the beginnings of the names.
KEPT = ("t_", "o_", f"{ATOM_STATE}/", ATTRIBUTES, TRAINING)
