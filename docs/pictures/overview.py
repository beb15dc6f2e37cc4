"""The picture of the first page, from a frozen model of ethane (`make example` trains one).

python overview.py -m ../../examples/ethane/run/frozen_model.pb -o overview.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ase.io
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle

from deepdensity_tf import DeepDensity

STRUCTURE = Path(__file__).resolve().parents[2] / "examples" / "ethane" / "ethane.xyz"
EXTENT = 3.0  # Å, half of the width of a panel
COLORS = {"C": "0.35", "H": "0.8"}
ATOMS_SHOWN = (0, 1, 2)  # a carbon, the other one, a hydrogen in the plane


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("-o", "--output", required=True)
    args = parser.parse_args()
    model, atoms = DeepDensity(args.model), ase.io.read(STRUCTURE)
    contributions = atomic_contributions(model, atoms)
    figure, axes = plt.subplots(
        1, 6, figsize=(15, 3.5), gridspec_kw={"width_ratios": [1.25, 0.8, 1, 1, 1, 1.25]}
    )
    draw_atoms(axes[0], atoms, model.rcut)
    draw_nets(axes[1])
    top = np.percentile(contributions.sum(0), 99.5)
    for place, (axis, atom) in enumerate(zip(axes[2:5], ATOMS_SHOWN, strict=True)):
        draw_density(axis, contributions[atom], top)
        name = f"$\\rho_{place + 1}$ of {atoms.symbols[atom]}"
        axis.set_title(name if place < 2 else f"… $\\rho_N$ of {atoms.symbols[atom]}")
        axis.text(1.03, 0.5, "+" if place < 2 else "=", transform=axis.transAxes, fontsize=15)
    draw_density(axes[5], contributions.sum(0), top)
    axes[5].set_title(r"density $\rho(r) = \sum_i \rho_i(r - R_i)$")
    figure.tight_layout()
    figure.savefig(args.output, dpi=110)


def plane() -> np.ndarray:
    """(npoints, 3) points of the plane x = 0."""
    line = np.linspace(-EXTENT, EXTENT, 121)
    z, y = np.meshgrid(line, line)
    return np.stack([0 * z, y, z], -1).reshape(-1, 3)


def atomic_contributions(model: DeepDensity, atoms) -> np.ndarray:
    """(natoms, npoints): the graph with the tables of all atoms but one set to zero."""
    frame = {
        "t_coord:0": atoms.positions[None],
        "t_type:0": model.atype_of(atoms.get_chemical_symbols()),
        "t_box:0": np.zeros((1, 9)),
        "t_point:0": plane()[None],
    }
    table = model._graph.run("atom_state/coef:0", frame)
    result = []
    for atom in range(len(atoms)):
        alone = np.zeros_like(table)
        alone[atom] = table[atom]
        feeds = {**frame, "atom_state/coef:0": alone}
        result.append(model._graph.run("o_density:0", feeds)[0])
    return np.array(result)


def draw_atoms(axis, atoms, rcut: float) -> None:
    """The structure seen along x, with the neighbourhood of a carbon."""
    for place in np.argsort(atoms.positions[:, 0]):
        x, y, z = atoms.positions[place]
        symbol = atoms.symbols[place]
        for other in atoms.positions[place + 1 :]:
            if np.linalg.norm(other - atoms.positions[place]) < 1.7:
                axis.plot([z, other[2]], [y, other[1]], color="0.6", lw=2, zorder=1)
        size = 0.36 if symbol == "C" else 0.24
        axis.add_patch(Circle((z, y), size, fc=COLORS[symbol], ec="k", zorder=2 + x / 10))
    center = atoms.positions[0]
    axis.add_patch(Circle(center[[2, 1]], 2.5, fill=False, ec="C3", ls="--", lw=1.5))
    axis.text(center[2], 2.75, "what atom 1 sees (rcut)", color="C3", ha="center", fontsize=9)
    axis.set_title("positions and elements")
    axis.set(xlim=(-EXTENT - 0.4, EXTENT + 0.4), ylim=(-EXTENT - 0.4, EXTENT + 0.4))
    axis.set_aspect("equal")
    axis.axis("off")


def draw_nets(axis) -> None:
    """The steps for each atom."""
    steps = [
        ("environment\nmatrix", 0.82),
        ("equivariant\nfeatures", 0.50),
        ("coefficients of\natom-centred\nfunctions", 0.16),
    ]
    for text, height in steps:
        box = {"boxstyle": "round", "fc": "#eaf1fb", "ec": "C0"}
        axis.text(0.5, height, text, ha="center", va="center", bbox=box, fontsize=9)
    for start, end in ((0.72, 0.60), (0.40, 0.29)):
        arrow = {"arrowstyle": "->", "color": "C0"}
        axis.annotate("", (0.5, end), (0.5, start), arrowprops=arrow)
    axis.set_title("once per atom")
    axis.set(xlim=(0, 1), ylim=(0, 1))
    axis.axis("off")


def draw_density(axis, values: np.ndarray, top: float) -> None:
    side = int(np.sqrt(values.size))
    limits = (-EXTENT, EXTENT, -EXTENT, EXTENT)
    image = values.reshape(side, side)
    axis.imshow(image, origin="lower", extent=limits, cmap="RdBu_r", vmin=-top, vmax=top)
    axis.set_xticks([])
    axis.set_yticks([])


if __name__ == "__main__":
    main()
