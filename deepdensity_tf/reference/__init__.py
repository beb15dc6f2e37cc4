"""Reference densities to learn from: an exact 1D Kohn-Sham model, and a writer of systems."""
