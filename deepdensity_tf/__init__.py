"""Deep Density on TensorFlow: electron densities from atomic positions."""

__version__ = "0.1.0"


def __getattr__(name: str):
    # Only those who ask for the class wait for NumPy.
    if name == "DeepDensity":
        from deepdensity_tf.infer.deep_density import DeepDensity

        return DeepDensity
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
