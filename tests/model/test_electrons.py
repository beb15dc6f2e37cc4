"""Conservation of electrons, and the integrals it rests on."""

import numpy as np
import pytest

from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.schema import complete_input
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.radial import RadialGrid
from tests.conftest import SMALL_INPUT

BOX = np.array([[4.1, 0.2, -0.3], [0.9, 4.6, 0.1], [-0.7, 0.4, 5.0]])


def test_integrals_against_a_fine_sum():
    grid = RadialGrid(3.0, 20)
    r = (np.arange(300_000) + 0.5) / 300_000 * 3.0
    volume, values = 4 * np.pi * r**2 * 1e-5, grid.values(r)
    np.testing.assert_allclose(grid.integrals(), volume @ values, rtol=1e-7)
    np.testing.assert_allclose(grid.squares(), volume @ values**2, rtol=1e-7)


@pytest.mark.parametrize("spin", [False, True])
def test_every_frame_holds_its_electrons(make_frozen, spin):
    model = DeepDensity(make_frozen(electrons=[4.0, 1.0], spin=spin))
    coord = np.array([[0.5, 0.5, 0.5], [1.6, 0.6, 0.5], [0.3, 1.5, 0.8], [2.5, 3.0, 3.0]])
    for natoms, electrons in ((4, 10.0), (1, 4.0)):
        atype = [0, 1, 1, 0][:natoms]
        grid = model.eval_grid(coord[:natoms], BOX, atype, (48, 54, 60))
        # Splines are C2: the sum over a 0.09 Å grid converges as the fourth power of the spacing.
        assert grid.mean() * np.linalg.det(BOX) == pytest.approx(electrons, rel=1e-5)


def test_exact_integral_is_that_of_the_grid(frozen_model, make_frozen):
    model = DeepDensity(frozen_model)
    coord, atype = np.array([[0.5, 0.5, 0.5], [1.6, 0.6, 0.5]]), [0, 1]
    grid = model.eval_grid(coord, BOX, atype, (48, 54, 60))
    on_grid = grid.mean() * np.linalg.det(BOX)
    exact = model.eval_electrons(coord, BOX, atype)
    assert exact.shape == (1,) and exact[0] == pytest.approx(on_grid, rel=1e-5)
    # The same weights with conservation: the number before the correction is the same.
    conserving = DeepDensity(make_frozen(electrons=[4.0, 1.0]))
    np.testing.assert_allclose(conserving.eval_electrons(coord, BOX, atype), exact, rtol=1e-10)
    pair = DeepDensity(make_frozen(fitting_net={"type": "pair", "neuron": [12, 12], "nradial": 6}))
    with pytest.raises(InputError, match="no exact integral"):
        pair.eval_electrons(coord, BOX, atype)


def test_without_the_option_electrons_are_free(frozen_model):
    grid = DeepDensity(frozen_model).eval_grid(np.zeros((1, 3)), BOX, [0], (24, 27, 30))
    assert abs(grid.mean() * np.linalg.det(BOX) - 4.0) > 0.1


@pytest.mark.parametrize(
    "change, message",
    [
        ({"electrons": [4.0]}, "model.electrons is"),
        ({"electrons": [-1.0, 2.0]}, "model.electrons is"),
        (
            {"electrons": [4.0, 1.0], "fitting_net": {"type": "pair"}},
            "needs fitting_net.type expansion",
        ),
    ],
)
def test_messages(change, message):
    data = {**SMALL_INPUT, "model": {**SMALL_INPUT["model"], **change}}
    with pytest.raises(InputError, match=message):
        complete_input(data)
