"""Quantities derived from a density on a grid: one a module, NumPy in and out."""
