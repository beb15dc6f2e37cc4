"""Predicted densities inside other codes: one module a code, its library imported when used."""
