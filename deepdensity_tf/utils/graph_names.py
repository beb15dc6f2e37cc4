"""Scopes and names in frozen graphs, which writers and readers of them share."""

from __future__ import annotations

# What depends on the atoms alone: fetched once, fed with every chunk of points.
ATOM_STATE = "atom_state"

# An embedding net: compression finds its input and output by their names in their scope.
EMBEDDING, DISTANCE, VALUES = "embedding", "distance", "values"

# Metadata, read without running the graph.
ATTRIBUTES, TRAINING = "model_attr/", "train_attr/"
TYPE_MAP = f"{ATTRIBUTES}type_map"
RCUT = f"{ATTRIBUTES}rcut"
RCUT_POINT = f"{ATTRIBUTES}rcut_point"
MODEL_TYPE = f"{ATTRIBUTES}model_type"
MODEL_VERSION = f"{ATTRIBUTES}model_version"
PACKAGE_VERSION = f"{ATTRIBUTES}package_version"
NPARAMETERS = f"{ATTRIBUTES}nparameters"
NMODELS = f"{ATTRIBUTES}nmodels"
DEVIATION_RADIUS = f"{ATTRIBUTES}deviation_radius"
MAX_PAIRS = f"{ATTRIBUTES}max_pairs"
BASELINE = f"{ATTRIBUTES}baseline"
AUGMENTATION = f"{ATTRIBUTES}augmentation"
ELEMENTS_SEEN = f"{ATTRIBUTES}elements_seen"
# Which node holds which variable of the first model: to train on.
VARIABLES = f"{ATTRIBUTES}variables"
INITIAL_MAGMOM = f"{ATTRIBUTES}initial_magmom"
COMPRESSION = f"{ATTRIBUTES}compression"
CALIBRATION = f"{ATTRIBUTES}calibration"
TRAINING_SCRIPT = f"{TRAINING}training_script"
DATA_CHECKSUM = f"{TRAINING}data_checksum"

# What a graph must keep: its contract with other codes, by the beginnings of the names.
KEPT = ("t_", "o_", f"{ATOM_STATE}/", ATTRIBUTES, TRAINING)
