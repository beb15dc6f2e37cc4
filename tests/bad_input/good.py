"""A folder in which every command succeeds: what the cases then spoil, one thing at a time."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import ase
import ase.io
import ase.io.ulm
import numpy as np
from ase.io.trajectory import write_atoms

from deepdensity_tf.formats import write_volumetric
from deepdensity_tf.model.frozen import freeze
from deepdensity_tf.schema import complete_input
from deepdensity_tf.train.checkpoint import CheckpointFolder, TrainingState
from tests.conftest import SMALL_INPUT, gaussian_density, write_small_system

PWSCF = Path(__file__).parents[1] / "formats" / "pwscf" / "gamma.save"
SHAPE = (6, 7, 8)

COMMANDS = {
    "train": "train input.json",
    "restart": "train input.json --restart",
    "init": "train input.json --init-model model.ckpt",
    "freeze": "freeze -c model.ckpt -o new.pb",
    "compress": "compress -i frozen_model.pb -o new.pb",
    "show": "show frozen_model.pb",
    "test": "test -m frozen_model.pb -s data --json new.json",
    "predict": "predict -m frozen_model.pb mol.xyz --grid 4 4 4 -o new.npy",
    "crystal": "predict -m frozen_model.pb crystal.vasp --grid 4 4 4 -o new.npy",
    "frame": "predict -m frozen_model.pb data -f 0 -o new.npy",
    "cube": "convert rho.cube -o new",
    "vasp": "convert CHGCAR -o new",
    "qe": "convert h2.save -o new",
    "gpaw": "convert rho.gpw -o new",
    "npz": "convert rho.npz -o new",
    "lcurve": "plot lcurve lcurve.out -o new.png",
    "slice": "plot slice -m frozen_model.pb -s data -f 0 -o new.png",
    "line": "plot line -m frozen_model.pb -s data -f 0 --bond 0 1 -o new.png",
    "parity": "plot parity -m frozen_model.pb -s data -o new.png",
}


def make_good(folder: Path) -> None:
    """Fill an empty folder with good input for every command."""
    write_small_system(folder / "data", nframes=2)
    data = copy.deepcopy(SMALL_INPUT)
    data["model"]["descriptor"]["npass"] = 1
    # With --restart and --init-model one step is left to do.
    data["training"].update(save_ckpt="new.ckpt", numb_steps=1)
    (folder / "input.json").write_text(json.dumps(data))
    _model_files(folder, data)
    _density_files(folder)
    (folder / "lcurve.out").write_text("#  step nmae_trn loss_trn lr time\n 5 1.0 0.1 0.01 2.0\n")


def _model_files(folder: Path, data: dict) -> None:
    config = complete_input(data)
    state = TrainingState(config)
    CheckpointFolder(folder / "model.ckpt", state).save()
    shutil.copytree(folder / "model.ckpt", folder / "kept.ckpt")
    decay = np.exp(-np.arange(state.model.grid.nspline) / 5.0)
    state.model.baseline.assign(0.7 * np.ones((2, 1, 1)) * decay)
    freeze(state.model, config, folder / "frozen_model.pb")


def _density_files(folder: Path) -> None:
    ase.io.write(folder / "mol.xyz", ase.Atoms("CH", [[0, 0, 0], [1.1, 0, 0]]))
    cell = np.array([[4.0, 0, 0], [0.3, 4.2, 0], [0, 0.1, 5.0]])
    atoms = ase.Atoms("CH2", [[1, 1, 1], [2.1, 1, 1], [0.6, 2, 1.2]], cell=cell, pbc=True)
    ase.io.write(folder / "crystal.vasp", atoms)
    index = np.stack(np.unravel_index(np.arange(np.prod(SHAPE)), SHAPE), -1)
    density = gaussian_density(index / SHAPE @ cell, atoms.positions, [4, 1, 1], cell, 0.6)
    density = density.reshape(SHAPE)
    write_volumetric(folder / "rho.cube", atoms, density)
    write_volumetric(folder / "CHGCAR", atoms, density)
    shutil.copytree(PWSCF, folder / "h2.save")
    np.savez(
        folder / "rho.npz", density=density, coord=atoms.positions, box=cell, numbers=atoms.numbers
    )
    with ase.io.ulm.open(folder / "rho.gpw", "w") as writer:
        write_atoms(writer.child("atoms"), atoms)
        writer.child("density").write(density=density[None])
        writer.child("parameters").write(mode="pw")
