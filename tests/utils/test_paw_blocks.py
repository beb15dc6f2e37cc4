"""PAW occupancies as blocks: counts, coupling, rotation, the density they make."""

import numpy as np
import pytest
from scipy.integrate import lebedev_rule
from scipy.spatial.transform import Rotation

from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.paw_blocks import (
    Channels,
    blocks_from_matrix,
    blocks_of,
    channels_from,
    checked_occupancies,
    count_of,
    matrix_from_blocks,
    padded,
)
from deepdensity_tf.utils.spherical import gaunt, real_harmonics

SILICON = (0, 1, 0, 1, 2)


def random_occupancies(channels, seed=0):
    size = sum(2 * angular + 1 for angular in channels)
    matrix = np.random.default_rng(seed).normal(size=(size, size))
    return matrix + matrix.T


def test_counts_are_those_of_vasp():
    """Carbon, lithium and iron of the PBE potentials: as CHGCAR files have them."""
    assert [count_of(ls) for ls in ([0, 0, 1, 1], [0, 0, 1], [2, 2, 0, 0, 1, 1])] == [33, 15, 138]
    degrees = [(b.left, b.right, b.degree) for b in blocks_of((0, 1))]
    assert degrees == [(0, 0, 0), (0, 1, 1), (1, 1, 0), (1, 1, 2)]


def test_first_harmonics():
    directions = Rotation.random(5, random_state=0).as_matrix()[:, 0]
    x, y, z = directions.T
    np.testing.assert_allclose(
        real_harmonics(1, directions), np.sqrt(3 / 4 / np.pi) * np.stack([y, z, x], 1), atol=1e-15
    )
    d = [x * y, y * z, (3 * z**2 - 1) / np.sqrt(12), x * z, (x**2 - y**2) / 2]
    np.testing.assert_allclose(
        real_harmonics(2, directions), np.sqrt(15 / 4 / np.pi) * np.stack(d, 1), atol=1e-15
    )


def test_harmonics_are_orthonormal_by_another_quadrature():
    points, weights = lebedev_rule(19)
    values = np.concatenate([real_harmonics(degree, points.T) for degree in range(9)], 1)
    np.testing.assert_allclose((values.T * weights) @ values, np.eye(81), atol=1e-12)


def test_gaunt_coefficients_by_another_quadrature():
    points, weights = lebedev_rule(19)
    for degrees in [(0, 1, 1), (2, 1, 1), (4, 2, 2), (3, 1, 2), (6, 3, 3)]:
        a, b, c = (real_harmonics(degree, points.T) for degree in degrees)
        expected = np.einsum("n,na,nb,nc->abc", weights, a, b, c)
        np.testing.assert_allclose(gaunt(*degrees), expected, atol=1e-13)


def test_numbers_are_the_coefficients_of_the_density():
    """sum rho_{im,jm'} phi_i phi_j Y_m Y_m' = sum over blocks of B phi_i phi_j Y_LM, anywhere."""
    matrix, rng = random_occupancies(SILICON), np.random.default_rng(1)
    numbers = blocks_from_matrix(SILICON, matrix)
    for direction in Rotation.random(5, random_state=1).as_matrix()[:, :1]:
        phi = rng.normal(size=len(SILICON))
        waves = np.concatenate(
            [p * real_harmonics(l_i, direction)[0] for p, l_i in zip(phi, SILICON, strict=True)]
        )
        by_blocks = sum(
            phi[b.left] * phi[b.right] * numbers[b.part] @ real_harmonics(b.degree, direction)[0]
            for b in blocks_of(SILICON)
        )
        assert by_blocks == pytest.approx(waves @ matrix @ waves, rel=1e-12)


def wigner(degree, rotation):
    """Matrix of a rotation on the harmonics of one order: Y(x R) = Y(x) D."""
    points = Rotation.random(200, random_state=7).as_matrix()[:, 0]
    turned = real_harmonics(degree, points @ rotation)
    return np.linalg.lstsq(real_harmonics(degree, points), turned, rcond=None)[0]


def test_blocks_of_a_turned_atom_turn():
    rotation = Rotation.random(random_state=3).as_matrix()
    size = sum(2 * angular + 1 for angular in SILICON)
    full, start = np.zeros((size, size)), 0
    for angular in SILICON:
        part = slice(start, start + 2 * angular + 1)
        full[part, part], start = wigner(angular, rotation), part.stop
    matrix = random_occupancies(SILICON)
    numbers = blocks_from_matrix(SILICON, matrix)
    turned = blocks_from_matrix(SILICON, full.T @ matrix @ full)
    for block in blocks_of(SILICON):
        expected = numbers[block.part] @ wigner(block.degree, rotation)
        np.testing.assert_allclose(turned[block.part], expected, atol=1e-12)


@pytest.mark.parametrize("channels", [(0,), (0, 0, 1, 1), SILICON, (2, 2, 0, 0, 1, 1), (3, 0)])
def test_back_to_occupancies(channels):
    """The way back gives the same numbers; only what makes no density is lost."""
    matrix = random_occupancies(channels)
    numbers = blocks_from_matrix(channels, matrix)
    back = matrix_from_blocks(channels, numbers)
    np.testing.assert_allclose(back, back.T, atol=1e-13)
    np.testing.assert_allclose(blocks_from_matrix(channels, back), numbers, atol=1e-12)
    if len(set(channels)) == len(channels):
        # Channels of different l have no antisymmetric part, but odd L of pairs such as p d.
        assert np.linalg.norm(back) <= np.linalg.norm(matrix) * (1 + 1e-12)


def test_channels_as_json_and_what_is_none():
    channels = Channels("gpaw", {"Si": SILICON, "H": (0, 0, 1)})
    assert channels_from(channels.to_json(), "x") == channels
    assert channels.width == 78
    for wrong in (
        "[]", "{", '{"code": "vasp"}', '{"code": "vasp", "channels": {}}',
        '{"code": "cp2k", "channels": {"C": [0]}}', '{"code": "vasp", "channels": {"C": []}}',
        '{"code": "vasp", "channels": {"C": [0, 7]}}', '{"code": "vasp", "channels": {"C": ["s"]}}',
        '{"code": "vasp", "channels": {"C": 3}}', '{"code": "vasp", "channels": [1]}',
    ):  # fmt: skip
        with pytest.raises(InputError, match=r"^here: no channels of PAW occupancies, expected"):
            channels_from(wrong, "here")


def test_channels_that_do_not_go_together():
    channels = Channels("gpaw", {"Si": SILICON})
    both = channels.joined(Channels("gpaw", {"H": (0,)}), "x")
    assert both.of == {"Si": SILICON, "H": (0,)}
    with pytest.raises(InputError, match="x: PAW occupancies of vasp, expected those of gpaw"):
        channels.joined(Channels("vasp", {"H": (0,)}), "x")
    with pytest.raises(InputError, match=r"channels of Si have l = \[0, 1\], expected \[0, 1, 0"):
        channels.joined(Channels("gpaw", {"Si": (0, 1)}), "x")


def test_wrong_numbers_of_an_atom():
    channels = Channels("vasp", {"C": (0, 1), "H": (0,)})
    good = padded([np.arange(10.0), np.ones(1)], 10)
    occupancies = checked_occupancies(channels, ["C", "H"], [good, good], "here")
    np.testing.assert_array_equal(occupancies.of_atoms([1, 0]).total, good[::-1])
    with pytest.raises(
        InputError, match=r"here: augmentation has shape \(2, 9\), expected \(2, 10"
    ):
        checked_occupancies(channels, ["C", "H"], [good[:, :9]], "here")
    with pytest.raises(InputError, match=r"atom 0 \(H\) has 10 numbers, expected 1 with NaN"):
        checked_occupancies(channels, ["H", "H"], [good], "here")
