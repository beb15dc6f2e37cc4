"""`python -m deepdensity_tf` is `dd-tf`."""

import sys

from deepdensity_tf.main import main

if __name__ == "__main__":
    sys.exit(main())
