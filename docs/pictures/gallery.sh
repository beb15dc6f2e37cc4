#!/bin/sh
# The pictures of the gallery, by the commands that stand there, in the folder of `make example`.
set -eu
pictures=$(cd "$(dirname "$0")" && pwd)
cd "$pictures/../../examples/ethane/run"
grep -h '^dd-tf ' "$pictures/../gallery.md" | sh -ex
for name in surfaces slice line parity lcurve; do
    # 1200 points across are enough for a page.
    python -c "
import sys
from PIL import Image
image = Image.open(sys.argv[1])
image.thumbnail((1200, 1200))
image.convert('P', palette=Image.Palette.ADAPTIVE).save(sys.argv[2], optimize=True)
" $name.png "$pictures/$name.png"
done
