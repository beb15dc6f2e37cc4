"""Tests for plug-ins, and the small system and model that they use; needs pytest."""
