"""A fitting net for deepdensity_tf as a package of its own."""
