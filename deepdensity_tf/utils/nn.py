"""Small networks shared by descriptors and fittings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf


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
    """x W + b for x (..., nin)."""

    def __init__(self, init: Initializer, nin: int, nout: int, scale: float = 1.0):
        super().__init__()
        self.weight = init.normal((nin, nout), scale / np.sqrt(nin), "weight")
        self.bias = init.variable(np.zeros(nout), "bias")

    def __call__(self, x):
        return tf.tensordot(x, self.weight, 1) + self.bias


class MLP(tf.Module):
    """Dense layers with SiLU between them; the last layer is linear."""

    def __init__(self, init: Initializer, nin: int, neuron: Sequence[int], nout: int):
        super().__init__()
        sizes = [nin, *neuron, nout]
        # sqrt(2) keeps the variance through SiLU layers about constant.
        self.layers = [
            Dense(init, a, b, scale=np.sqrt(2.0) if i else 1.0)
            for i, (a, b) in enumerate(zip(sizes[:-1], sizes[1:], strict=True))
        ]

    def __call__(self, x):
        for layer in self.layers[:-1]:
            x = tf.nn.silu(layer(x))
        return self.layers[-1](x)


class LinearPerL(tf.Module):
    """Mixes channels of equivariant features (n, nlm, nin), one matrix for each l."""

    def __init__(self, init: Initializer, lmax: int, nin: int, nout: int):
        super().__init__()
        self._lmax = lmax
        self.weight = init.normal((lmax + 1, nin, nout), 1 / np.sqrt(nin), "weight")

    def __call__(self, features):
        return tf.einsum("nka,kab->nkb", features, per_lm(self.weight, self._lmax, axis=0))


def per_lm(values, lmax: int, axis: int):
    """Repeat what is given for each l for all its m, along `axis`."""
    return tf.gather(values, np.repeat(np.arange(lmax + 1), _degeneracy(lmax)), axis=axis)


def norms_per_l(features, lmax: int):
    """Squared norms of equivariant features (n, nlm, m) for each l: (n, lmax + 1, m)."""
    membership = np.repeat(np.eye(lmax + 1), _degeneracy(lmax), axis=1)
    return tf.einsum("lk,nkm->nlm", tf.constant(membership, features.dtype), features**2)


def _degeneracy(lmax: int) -> np.ndarray:
    return 2 * np.arange(lmax + 1) + 1


def _linear_harmonics(lmax: int, directions: np.ndarray) -> np.ndarray:
    """Real solid harmonics of unit vectors (n, 3): (n, nlm), in the order of the native op."""
    from scipy.special import sph_harm_y

    theta = np.arccos(np.clip(directions[:, 2], -1, 1))
    phi = np.arctan2(directions[:, 1], directions[:, 0])
    columns = []
    for angular in range(lmax + 1):
        racah = np.sqrt(4 * np.pi / (2 * angular + 1))
        for m in range(angular, 0, -1):
            y = (-1) ** m * np.sqrt(2) * racah * sph_harm_y(angular, m, theta, phi)
            columns += [y.real, y.imag]
        columns.append(racah * sph_harm_y(angular, 0, theta, phi).real)
    return np.stack(columns, 1)


class SphereProduct(tf.Module):
    """Products of equivariant features as functions on the sphere.

    Features of one channel are the coefficients of a function on the unit sphere. The product of
    two such functions, projected back on l <= lmax, is equivariant: it is the coupling by Gaunt
    coefficients. The quadrature (Gauss-Legendre times uniform) is exact to degree 3 lmax, so the
    product is exact up to rounding.
    """

    def __init__(self, lmax: int, dtype: tf.DType):
        super().__init__()
        degree = 3 * lmax
        z, weight = np.polynomial.legendre.leggauss(degree // 2 + 1)
        phi = 2 * np.pi * np.arange(degree + 1) / (degree + 1)
        sin = np.sqrt(1 - z**2)[:, None]
        xyz = np.stack(np.broadcast_arrays(sin * np.cos(phi), sin * np.sin(phi), z[:, None]), -1)
        values = _linear_harmonics(lmax, xyz.reshape(-1, 3))
        weights = np.repeat(weight, len(phi)) / (2 * len(phi))
        degeneracy = np.repeat(_degeneracy(lmax), _degeneracy(lmax))
        back = values * weights[:, None] * degeneracy
        self._values = tf.constant(values, dtype)
        self._back = tf.constant(back, dtype)

    def __call__(self, a, b):
        """Product of features (n, nlm, m), channel by channel."""
        on_sphere = tf.einsum("sk,nkm->nsm", self._values, a) * tf.einsum(
            "sk,nkm->nsm", self._values, b
        )
        return tf.einsum("sk,nsm->nkm", self._back, on_sphere)
