#!/bin/sh
# The shipped model `organic`: data (days of one core), two trainings, one ensemble, calibration.
#     sh run.sh DATA      DATA: where examples/data_recipes/organic.py wrote train/ and validation/
set -eu
data=$(cd "$1" && pwd)
cd "$(dirname "$0")"
mkdir -p run
for seed in 1 2; do
    mkdir -p run/$seed
    ln -sfn "$data" run/$seed/data
    sed "s/\"seed\": 1/\"seed\": $seed/" input.json > run/$seed/input.json
    cd run/$seed
    if [ -e model.ckpt/checkpoint ]; then dd-tf train input.json --restart; else dd-tf train input.json; fi
    cd ../..
done
cd run
dd-tf freeze -c 1/model.ckpt 2/model.ckpt -o ensemble.pb
dd-tf test -m ensemble.pb -s "$data/validation" --calibrate organic.pb
