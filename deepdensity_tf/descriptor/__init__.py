"""Descriptors: what an atom knows of its neighbours, invariant and equivariant."""

from deepdensity_tf.descriptor.base import DESCRIPTORS, AtomFeatures, Pairs, Species
from deepdensity_tf.descriptor.equivariant import Equivariant
from deepdensity_tf.descriptor.se_e2_a import SeE2A

__all__ = ["DESCRIPTORS", "AtomFeatures", "Equivariant", "Pairs", "SeE2A", "Species"]
