"""Pictures, and the planes and lines they show."""
