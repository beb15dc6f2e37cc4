#!/bin/sh
# A prediction by a shipped model; then train on real densities, freeze, test on unseen frames,
# predict, draw. Everything goes to run/.
set -eu
cd "$(dirname "$0")"
rm -rf run
mkdir run
ln -s ../data run/data
cp input.json run/
cd run

echo "== before any training: caffeine by the shipped model organic"
dd-tf predict -m organic ../caffeine.xyz --spacing 0.2 -o caffeine.cube
dd-tf view caffeine.cube -o caffeine.html

echo "== a model of our own, trained on 16 frames of ethane"
dd-tf train input.json
dd-tf freeze -c model.ckpt -o frozen_model.pb
dd-tf show frozen_model.pb

echo "== errors on the four frames that were not trained on"
dd-tf test -m frozen_model.pb -s data --frames 16: --json errors.json

echo "== density of a structure file"
cp ../ethane.xyz .
dd-tf predict -m frozen_model.pb ethane.xyz --spacing 0.2 -o ethane.cube

dd-tf plot lcurve lcurve.out -o lcurve.png
dd-tf plot parity -m frozen_model.pb -s data --frames 16: -o parity.png
dd-tf plot slice -m frozen_model.pb -s data -f 16 -o slice.png
here=$(pwd)
echo
echo "== what to look at"
echo "$here/caffeine.html  a molecule that no training saw, to turn in a browser"
echo "$here/slice.png   reference, model and difference in a plane"
echo "$here/parity.png  model against reference, errors by density"
echo "$here/lcurve.png  how the error fell"
echo "$here/ethane.cube  the density of a structure file, for VESTA, VMD, ... or: dd-tf view"
