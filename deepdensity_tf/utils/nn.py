"""Small networks shared by descriptors and fittings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from deepdensity_tf.utils.ops import couple, gather_products, grouped_matmul
from deepdensity_tf.utils.spherical import solid_couplings

# Tables with a row for each type, by their names: no matrices that map one space to another.
_ROWS_OF_TYPES = ("type_embedding", "mixture")
# Matrices that a type has beside those that all share, by their name.
BESIDE_SHARED = "beside_shared"


def is_matrix(variable: tf.Variable) -> bool:
    """Whether a weight (..., nin, nout) is a linear map, or a stack of them."""
    return len(variable.shape) >= 2 and _name(variable) not in _ROWS_OF_TYPES


def is_beside_shared(variable: tf.Variable) -> bool:
    """Whether a weight is what types have beside matrices that all share."""
    return _name(variable) == BESIDE_SHARED


def _name(variable: tf.Variable) -> str:
    return variable.name.split(":")[0].split("/")[-1]


class Initializer:
    """Source of initial weights: one stream of random numbers a model.

    Parameters
    ----------
    seed : int
        The same seed gives the same weights.
    dtype : tf.DType
        Type of all variables.
    """

    def __init__(self, seed: int, dtype: tf.DType):
        self.dtype = dtype
        self._rng = np.random.default_rng(seed)

    def normal(self, shape: Sequence[int], scale: float, name: str) -> tf.Variable:
        """Trainable variable of normally distributed numbers."""
        return self.variable(scale * self._rng.normal(size=shape), name)

    def variable(self, value, name: str, trainable: bool = True) -> tf.Variable:
        """Variable with given initial values."""
        return tf.Variable(np.asarray(value), dtype=self.dtype, trainable=trainable, name=name)


class Dense(tf.Module):
    """x W + b for x (n, nin)."""

    def __init__(self, init: Initializer, nin: int, nout: int, scale: float = 1.0):
        super().__init__()
        self.weight = init.normal((nin, nout), scale / np.sqrt(nin), "weight")
        self.bias = init.variable(np.zeros(nout), "bias")

    def __call__(self, x):
        return tf.nn.bias_add(tf.matmul(x, self.weight), self.bias)


class MLP(tf.Module):
    """Dense layers with SiLU between them; the last layer is linear, its weights times `last`."""

    def __init__(
        self, init: Initializer, nin: int, neuron: Sequence[int], nout: int, last: float = 1.0
    ):
        super().__init__()
        sizes = [nin, *neuron, nout]
        # sqrt(2) keeps the variance through SiLU layers about constant.
        scales = [1.0] + [np.sqrt(2.0)] * len(neuron)
        scales[-1] *= last
        self.layers = [
            Dense(init, a, b, scale)
            for a, b, scale in zip(sizes[:-1], sizes[1:], scales, strict=True)
        ]

    def __call__(self, x):
        for layer in self.layers[:-1]:
            x = tf.nn.silu(layer(x))
        return self.layers[-1](x)


class LinearPerL(tf.Module):
    """Mixes channels of equivariant features (nlm, n, nin), one matrix for each l."""

    def __init__(self, init: Initializer, lmax: int, nin: int, nout: int):
        super().__init__()
        self.weight = init.normal((lmax + 1, nin, nout), 1 / np.sqrt(nin), "weight")

    def __call__(self, features):
        return _matmul_per_l(features, self.weight)


class GroupedLinearPerL(tf.Module):
    """Mixes channels of equivariant features (nlm, n, nin), one matrix for each type and l.

    Parameters
    ----------
    lmax : int
        Highest angular momentum of the features.
    weight : tf.Variable, optional
        (ntypes, lmax + 1, nin, nout): what each type has of its own.
    shared : tf.Variable, optional
        (lmax + 1, nin, nout): what is the same for all types, and added. One of them must be given.
    """

    def __init__(
        self, lmax: int, weight: tf.Variable | None = None, shared: tf.Variable | None = None
    ):
        super().__init__()
        self._lmax = lmax
        self.weight = weight
        self.shared = shared

    def __call__(self, features, atype):
        if self.weight is None:
            return _matmul_per_l(features, self.shared)
        weight = self.weight if self.shared is None else self.weight + self.shared
        weight = tf.reshape(weight, [-1, *self.weight.shape[2:]])
        group = atype[None] * (self._lmax + 1) + _orders(self._lmax)[:, None]
        return _matmul_by_group(features, weight, group)


def _matmul_per_l(features, weight):
    """Features (nlm, n, nin) times a matrix for each l, weight (lmax + 1, nin, nout)."""
    return _matmul_by_group(features, weight, _orders(weight.shape[0] - 1)[:, None])


def _matmul_by_group(features, weight, group):
    """Features (nlm, n, nin) times matrices (ngroups, nin, nout) chosen by group (nlm, n or 1)."""
    group = tf.broadcast_to(group, tf.shape(features)[:2])
    rows = tf.reshape(features, [-1, weight.shape[1]])
    product = grouped_matmul(rows, weight, tf.reshape(group, [-1]))
    return tf.reshape(product, [features.shape[0], -1, weight.shape[2]])


def per_lm(values, lmax: int):
    """Repeat what is given for each l, along the first axis, for all its m."""
    return tf.gather(values, _orders(lmax))


def norms_per_l(features, lmax: int):
    """Squared norms of equivariant features (nlm, n, m) for each l: (lmax + 1, n, m)."""
    membership = tf.constant(np.eye(lmax + 1)[:, _orders(lmax)], features.dtype)
    norms = tf.matmul(membership, tf.reshape(tf.square(features), [(lmax + 1) ** 2, -1]))
    return tf.reshape(norms, [lmax + 1, -1, features.shape[2]])


def degeneracy(lmax: int) -> np.ndarray:
    """Number of m for each l, (lmax + 1,)."""
    return 2 * np.arange(lmax + 1) + 1


def _orders(lmax: int) -> np.ndarray:
    """l of each (l, m), (nlm,) int32."""
    return np.repeat(np.arange(lmax + 1, dtype=np.int32), degeneracy(lmax))


class SphereProduct(tf.Module):
    """Products of equivariant features as functions on the sphere.

    Features of one channel are the coefficients of a function on the unit sphere. The product of
    two such functions, projected back on l <= lmax, is equivariant: it is the coupling by Gaunt
    coefficients, integrals of three harmonics, of which most are zero.
    """

    def __init__(self, lmax: int, dtype: tf.DType):
        super().__init__()
        term, value = solid_couplings(lmax)
        self._lmax = lmax
        self._term, self._value = tf.constant(term, tf.int32), tf.constant(value, dtype)
        squares = degeneracy(lmax)[_orders(lmax)]  # one over the mean squares of the harmonics
        self._squares = tf.constant(squares[:, None, None], dtype)

    def __call__(self, a, b):
        """Product of features (nlm, n, m), channel by channel."""
        return self._squares * couple(a, b, self._term, self._value)

    def over_pairs(self, pairs, radial, rows, tensors):
        """Sums over each atom's neighbours of their features' products with the pair's function.

        Parameters
        ----------
        pairs, radial, rows, tensors
            As in `ops.gather_products`.

        Returns
        -------
        tf.Tensor
            (nlm, natoms, m).
        """
        terms = self._term, self._value
        return self._squares * gather_products(pairs, radial, rows, tensors, self._lmax, *terms)


class TypeEmbedding(tf.Module):
    """A trained vector for each type of atom.

    Types that need no more room than there is begin as unit vectors, all as far apart as each
    other; more than that as random ones.
    """

    def __init__(self, init: Initializer, ntypes: int, size: int):
        super().__init__()
        if ntypes <= size:
            self.vectors = init.variable(np.eye(ntypes, size) * np.sqrt(size), "type_embedding")
        else:
            self.vectors = init.normal((ntypes, size), 1.0, "type_embedding")

    def __call__(self, atype):
        """(natoms, size)."""
        return tf.gather(self.vectors, atype)
