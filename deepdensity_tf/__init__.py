"""Deep Density on TensorFlow: electron densities from atomic positions."""

__version__ = "0.1.0"


def __getattr__(name: str):
    # TensorFlow takes seconds to import: only those who ask for the class pay.
    if name == "DeepDensity":
        from deepdensity_tf.utils.log import import_tensorflow

        import_tensorflow()
        from deepdensity_tf.infer.deep_density import DeepDensity

        return DeepDensity
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
