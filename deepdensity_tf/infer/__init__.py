"""Use of frozen models. Nothing here imports the training."""
