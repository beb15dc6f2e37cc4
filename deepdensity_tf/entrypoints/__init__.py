"""One module for each sub-command of dd-tf."""
