"""Potentials and energies against Gaussians, plane waves and Madelung constants."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy.special import erf

from deepdensity_tf.analysis.electrostatics import (
    COULOMB,
    core_potential,
    hartree_energy,
    hartree_potential,
)
from deepdensity_tf.analysis.subjects import stored_density
from deepdensity_tf.formats import HARTREE, Grid
from tests.conftest import gaussian_density

CELL = np.array([[9.0, 0, 0], [1.0, 9.0, 0], [0.0, -0.5, 9.5]])
GRID = Grid((36, 36, 40), CELL, np.array([1.0, -2.0, 0.5]))
# No cubic box: pairs further apart than its least height must still see each other.
LONG = Grid((90, 30, 32), np.array([[18.0, 0, 0], [-1.5, 6.0, 0], [0.5, 0.7, 6.4]]))


def gaussians(grid, coord, charges, width, periodic=False):
    box = grid.cell if periodic else None
    return gaussian_density(grid.points(), coord, charges, box, width).reshape(grid.shape)


def gaussian_potential(grid, coord, charges, width):
    total = 0
    for center, charge in zip(coord, charges, strict=True):
        distance = np.linalg.norm(grid.points() - center, axis=1).clip(1e-9)
        total = total + COULOMB * charge * erf(distance / (np.sqrt(2) * width)) / distance
    return total.reshape(grid.shape)


@pytest.mark.parametrize("grid", [GRID, LONG], ids=["compact", "long"])
def test_isolated_potential_of_gaussians(grid):
    coord = np.array([[0.36, 0.5, 0.5], [0.64, 0.52, 0.5]]) @ grid.cell + grid.origin
    found = hartree_potential(gaussians(grid, coord, [2.0, 0.5], 0.5), grid, periodic=False)
    # The tails outside the window, exp(-(3 Å)^2 / (2 0.5^2)), set the limit.
    expected = gaussian_potential(grid, coord, [2.0, 0.5], 0.5)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


def test_a_coarse_grid_converges():
    """Eight points along an axis, where the width of the split is bounded by the box."""
    grid = Grid((8, 10, 12), np.diag([8.0, 9.0, 10.0]))
    coord = np.array([[4.1, 4.4, 5.2]])
    found = hartree_potential(gaussians(grid, coord, [1.0], 1.0), grid, periodic=False)
    expected = gaussian_potential(grid, coord, [1.0], 1.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3 * expected.max())


def test_self_energy_of_a_gaussian():
    center = np.array([[5.0, 4.2, 4.8]]) + GRID.origin
    energy = hartree_energy(gaussians(GRID, center, [2.0], 0.6), GRID, periodic=False)
    assert energy == pytest.approx(COULOMB * 4 / (2 * np.sqrt(np.pi) * 0.6), rel=1e-8)


def test_interaction_of_distant_gaussians():
    coord = np.array([[0.18, 0.5, 0.5], [0.82, 0.5, 0.5]]) @ LONG.cell
    distance = np.linalg.norm(coord[1] - coord[0])
    energy = hartree_energy(gaussians(LONG, coord, [1.0, 1.0], 0.45), LONG, periodic=False)
    expected = COULOMB * (1 / (np.sqrt(np.pi) * 0.45) + 1 / distance)
    assert energy == pytest.approx(expected, rel=1e-8)


def test_plane_wave():
    x = np.arange(GRID.shape[0]) / GRID.shape[0]
    wave = 2 * (2 * np.pi * np.linalg.inv(CELL).T)[0]
    ripple = np.broadcast_to(np.cos(4 * np.pi * x)[:, None, None], GRID.shape)
    potential = hartree_potential(0.3 + 0.1 * ripple, GRID, periodic=True)
    expected = COULOMB * 4 * np.pi / (wave @ wave) * 0.1 * ripple
    np.testing.assert_allclose(potential, expected, rtol=0, atol=1e-12)
    energy = hartree_energy(0.3 + 0.1 * ripple, GRID, periodic=True)
    volume = np.linalg.det(CELL)
    expected = 0.5 * COULOMB * volume * 4 * np.pi / (wave @ wave) * 2 * 0.05**2
    assert energy == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("periodic", [True, False])
def test_translation_does_not_change_the_energy(periodic):
    """Also by parts of the grid's spacing."""
    coord = np.array([[4.4, 3.9, 4.4], [5.1, 4.5, 4.6]]) + GRID.origin
    energies = [
        hartree_energy(gaussians(GRID, coord + shift, [1.0, 2.0], 0.55, periodic), GRID, periodic)
        for shift in (np.zeros(3), np.array([0.11, -0.07, 0.21]))
    ]
    assert energies[1] == pytest.approx(energies[0], rel=1e-8)


@pytest.mark.parametrize("width", [0.5, 0.9])
@pytest.mark.parametrize("periodic", [True, False])
def test_gaussian_cores_are_gaussian_densities(periodic, width):
    """Narrower and wider than the Gaussian that the grid carries, 2.5 spacings."""
    coord = np.array([[4.4, 3.9, 4.4], [5.4, 5.0, 4.9]]) + GRID.origin
    charges = np.array([1.0, 2.0])
    cores = core_potential(GRID, coord, charges, periodic, width)
    density = gaussians(GRID, coord, charges, width, periodic)
    found = hartree_potential(density, GRID, periodic)
    if periodic:
        np.testing.assert_allclose(cores, -found, rtol=0, atol=1e-6)
    else:
        np.testing.assert_allclose(
            cores, -gaussian_potential(GRID, coord, charges, width), atol=1e-10
        )


@pytest.mark.parametrize(
    ("ions", "cell", "distance", "constant"),
    [
        ("NaCl", np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) * 2.0, 2.0, 1.7475645946),
        ("CsCl", np.eye(3) * 4.0, 2 * np.sqrt(3), 1.7626747731),
    ],
)
@pytest.mark.parametrize("width", [0.0, 0.15])
def test_madelung_constants(ions, cell, distance, constant, width):
    grid = Grid((32, 32, 32), cell)
    coord, charges = np.array([np.zeros(3), cell.sum(0) / 2]), np.array([1.0, -1.0])
    potential = core_potential(grid, coord, charges, periodic=True, width=width)
    # A point charge on a grid point is spread over the ball of that point's volume.
    ball = (3 * grid.volume_element / (4 * np.pi)) ** (1 / 3)
    own = 1.5 / ball if width == 0 else np.sqrt(2 / np.pi) / width
    at_ion = (potential[0, 0, 0] + COULOMB * own) * distance / COULOMB
    assert at_ion == pytest.approx(constant, abs=1e-8)
    assert potential[16, 16, 16] == pytest.approx(-potential[0, 0, 0])


def test_point_charges_are_points_outside_their_ball():
    coord = np.array([[4.4, 3.9, 4.4]]) + GRID.origin
    found = core_potential(GRID, coord, np.array([3.0]), periodic=False)
    distance = np.linalg.norm(GRID.points() - coord, axis=1).reshape(GRID.shape)
    far = distance > 0.25
    np.testing.assert_allclose(found[far], -3 * COULOMB / distance[far], rtol=1e-12)
    assert np.isfinite(found).all()


def test_neutral_atoms_do_not_act_at_a_distance():
    """Electrons and point cores of spherical atoms cancel outside, with and without images."""
    coord = np.array([[3.9, 3.7, 4.4], [5.7, 5.0, 4.9]]) + GRID.origin
    charges = np.array([1.0, 2.0])
    distance = np.min(
        [np.linalg.norm(GRID.points() - center, axis=1) for center in coord], axis=0
    ).reshape(GRID.shape)
    density = gaussians(GRID, coord, charges, 0.45)
    isolated = hartree_potential(density, GRID, False) + core_potential(GRID, coord, charges, False)
    np.testing.assert_allclose(isolated[distance > 3.0], 0, atol=1e-6)


PSEUDO = Path("/usr/share/espresso/pseudo")
PW_INPUT = f"""\
&control
 calculation='scf', prefix='x', outdir='.', pseudo_dir='{PSEUDO}'
/
&system
 ibrav=0, nat=2, ntyp=1, ecutwfc=12
/
&electrons
 conv_thr=1e-10
/
ATOMIC_SPECIES
H 1.0 H.pz-vbc.UPF
CELL_PARAMETERS angstrom
2.6 0.0 0.0
0.4 2.4 0.0
-0.3 0.2 2.8
ATOMIC_POSITIONS angstrom
H 1.0 1.1 0.9
H 1.6 1.3 1.3
K_POINTS gamma
"""


@pytest.mark.skipif(
    shutil.which("pw.x") is None or not (PSEUDO / "H.pz-vbc.UPF").exists(),
    reason="needs Quantum ESPRESSO and its pseudopotentials",
)
def test_hartree_energy_is_that_of_quantum_espresso(tmp_path):
    (tmp_path / "x.in").write_text(PW_INPUT)
    done = subprocess.run(
        ["pw.x", "-in", "x.in"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    expected = float(re.findall(r"hartree contribution\s+=\s+(\S+) Ry", done.stdout)[-1]) / 2
    subject = stored_density(str(tmp_path / "x.save"))
    found = hartree_energy(subject.density, subject.structure.grid, periodic=True) / HARTREE
    # pw.x prints 8 decimals of Ry; its Bohr radius agrees with ours to 1e-9.
    assert found == pytest.approx(expected, abs=2e-8)
