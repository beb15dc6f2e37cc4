"""Reference data: systems on disk, sampling, conversion."""
