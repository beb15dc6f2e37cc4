"""Symmetries, gradient and smoothness that every frozen model has, in float64."""

from __future__ import annotations

import numpy as np
import pytest

from deepdensity_tf.infer.deep_density import DeepDensity

RTOL = 1e-10
BOX = np.array([[4.1, 0.2, -0.3], [0.9, 4.6, 0.1], [-0.7, 0.4, 5.0]])
ATYPE = np.array([0, 1, 1, 0, 1])


def frame(npoints=40, seed=0):
    """Atoms at least 0.8 Å apart in a triclinic cell, points everywhere around it."""
    rng = np.random.default_rng(seed)
    fractional = np.array(
        [[0.1, 0.1, 0.1], [0.4, 0.2, 0.1], [0.1, 0.6, 0.2], [0.6, 0.7, 0.6], [0.2, 0.3, 0.8]]
    ) + rng.uniform(-0.03, 0.03, (5, 3))
    return fractional @ BOX, rng.uniform(-6, 9, (npoints, 3))


def assert_same(a, b):
    scale = np.abs(a).max()
    assert scale > 1e-3
    np.testing.assert_allclose(b, a, rtol=0, atol=RTOL * scale)


def random_rotation(seed=1):
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.diag(r))


class SymmetryTests:
    """Tests of a fixture `model`, a DeepDensity of two elements, and `frozen`, its file."""

    @pytest.mark.parametrize("box", [None, BOX], ids=["molecule", "crystal"])
    def test_translation(self, model, box):
        coord, points = frame()
        shift = np.array([0.37, -7.1, 12.9])
        before = model.eval(coord, box, ATYPE, points)
        assert_same(before, model.eval(coord + shift, box, ATYPE, points + shift))

    @pytest.mark.parametrize("box", [None, BOX], ids=["molecule", "crystal"])
    @pytest.mark.parametrize("mirror", [1, -1], ids=["proper", "improper"])
    def test_rotation_of_atoms_cell_and_points(self, model, box, mirror):
        coord, points = frame()
        rotation = random_rotation()
        rotation *= mirror * np.sign(np.linalg.det(rotation))
        turned = None if box is None else box @ rotation
        before = model.eval(coord, box, ATYPE, points)
        assert_same(before, model.eval(coord @ rotation, turned, ATYPE, points @ rotation))

    def test_gradient_rotates_along(self, model):
        coord, points = frame()
        rotation = random_rotation()
        before = model.eval_gradient(coord, BOX, ATYPE, points) @ rotation
        assert_same(
            before, model.eval_gradient(coord @ rotation, BOX @ rotation, ATYPE, points @ rotation)
        )

    def test_permutation_of_atoms(self, model):
        coord, points = frame()
        order = np.array([3, 4, 0, 2, 1])
        before = model.eval(coord, BOX, ATYPE, points)
        assert_same(before, model.eval(coord[order], BOX, ATYPE[order], points))

    def test_periodic_images_of_atoms_and_points(self, model):
        coord, points = frame()
        rng = np.random.default_rng(2)
        before = model.eval(coord, BOX, ATYPE, points)
        moved = coord + rng.integers(-3, 4, coord.shape) @ BOX
        assert_same(
            before, model.eval(moved, BOX, ATYPE, points + rng.integers(-3, 4, points.shape) @ BOX)
        )

    def test_supercell_has_the_density_of_the_unit_cell(self, model):
        coord, points = frame()
        shifts = np.array(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij")).reshape(3, -1).T @ BOX
        many = (coord[None] + shifts[:, None]).reshape(-1, 3)
        before = model.eval(coord, BOX, ATYPE, points)
        assert_same(before, model.eval(many, 2 * BOX, np.tile(ATYPE, 8), points))

    def test_another_description_of_the_same_crystal(self, model):
        coord, points = frame()
        skewed = np.array([[1, 0, 0], [2, 1, 0], [-1, 3, 1]]) @ BOX
        assert_same(model.eval(coord, BOX, ATYPE, points), model.eval(coord, skewed, ATYPE, points))

    def test_cell_smaller_than_the_cutoff(self, model):
        """One atom in a 1.6 Å cell, against the same atom in a 3 x 3 x 3 supercell."""
        box, rng = np.diag([1.6, 1.7, 1.8]), np.random.default_rng(4)
        points = rng.uniform(0, 5, (20, 3))
        shifts = np.stack(np.meshgrid(*[[0, 1, 2]] * 3, indexing="ij"), -1).reshape(-1, 3) @ box
        one = model.eval(np.zeros((1, 3)), box, [0], points)
        assert_same(one, model.eval(shifts, 3 * box, np.zeros(27, int), points))

    def test_atoms_on_cell_faces(self, model):
        box = np.diag([4.0, 4.0, 4.0])
        coord = np.array([[0.0, 2.0, 2.0], [1.1, 2.0, 2.0]])
        points = np.random.default_rng(5).uniform(0, 4, (20, 3))
        on_other_face = coord + np.array([[4.0, 0, 0], [0, 0, 0]])
        assert_same(
            model.eval(coord, box, [0, 1], points), model.eval(on_other_face, box, [0, 1], points)
        )

    def test_gradient_against_central_differences(self, model):
        coord, points = frame()
        analytic = model.eval_gradient(coord, BOX, ATYPE, points)
        step = 1e-4
        numeric = np.empty_like(analytic)
        for axis in range(3):
            shift = step * np.eye(3)[axis]
            # Fourth order in the step: the error is far below 1e-6.
            values = [model.eval(coord, BOX, ATYPE, points + k * shift) for k in (-2, -1, 1, 2)]
            numeric[:, axis] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
        scale = np.abs(analytic).max()
        np.testing.assert_allclose(numeric, analytic, rtol=0, atol=1e-6 * scale)

    def test_point_on_a_nucleus_is_finite(self, model):
        coord, _ = frame()
        density = model.eval(coord, BOX, ATYPE, coord)
        gradient = model.eval_gradient(coord, BOX, ATYPE, coord)
        assert np.isfinite(density).all() and np.isfinite(gradient).all()
        near = model.eval(coord, BOX, ATYPE, coord + 1e-7)
        # Continuous: the density moves by at most gradient x distance.
        np.testing.assert_allclose(near, density, atol=1e-6 * (1 + np.abs(gradient).max()))

    def test_points_without_neighbours_are_zero(self, model):
        coord, _ = frame()
        far = np.array([[100.0, 0, 0], [0, -50.0, 0]])
        np.testing.assert_array_equal(model.eval(coord, None, ATYPE, far), 0)
        np.testing.assert_array_equal(model.eval_gradient(coord, None, ATYPE, far), 0)

    def test_one_atom_alone(self, model):
        density = model.eval(np.zeros((1, 3)), None, [1], np.array([[0.3, 0, 0], [0, 0.3, 0]]))
        assert density[0] > 0
        np.testing.assert_allclose(density[0], density[1], rtol=RTOL)

    @pytest.mark.parametrize("which", ["rcut", "rcut_point"])
    def test_smooth_as_an_atom_crosses_a_cutoff(self, model, which):
        """No jump and no kink of density and gradient as an atom passes the cut-off."""
        cutoff = getattr(model, which)
        point = np.array([[0.2, 0.4, 0.1]])
        # The second atom passes the cut-off of the first atom, or of the point.
        origin = np.zeros(3) if which == "rcut" else point[0]

        def at(distance):
            coord = np.array([[0.0, 0, 0], origin + [0, 0, distance]])
            arguments = (coord, None, [0, 1], point)
            return np.append(model.eval_gradient(*arguments)[0], model.eval(*arguments)[0])

        step = 1e-4
        values = np.array([at(cutoff + k * step) for k in (-2, -1, 0, 1, 2)])
        scale = np.abs(values).max()
        assert abs(at(0.5 * cutoff)[3] - values[-1, 3]) > 1e-4, (
            "the atom must matter inside the cut-off"
        )
        # A smooth function's second difference is h^2 f'' = 1e-8 f''; a kink's is h times the kink.
        assert np.abs(np.diff(values, 2, axis=0)).max() < 1e-6 * scale

    def test_chunks_do_not_matter(self, model, frozen):
        coord, points = frame(200)
        whole = model.eval(coord, BOX, ATYPE, points)
        assert_same(whole, DeepDensity(frozen, max_pairs=300).eval(coord, BOX, ATYPE, points))

    def test_frames_are_independent(self, model):
        coord, points = frame()
        coords = np.stack([coord, coord + 0.1, coord - 0.2])
        points = np.stack([points, points[::-1], points + 1])
        together = model.eval(coords, BOX, ATYPE, points)
        for f in range(3):
            assert_same(together[f], model.eval(coords[f], BOX, ATYPE, points[f]))
