#!/bin/sh
# Make exact data of one kind of chain, train on 8 atoms, test on 8, 32 and 64, draw. In run/KIND/.
# Usage: sh run.sh [KIND]     (insulator, insulator2, metal, warm_metal or mixed; default mixed)
set -eu
kind=${1:-mixed}
cd "$(dirname "$0")"
here=$(pwd)
mkdir -p run/data/one_d "run/$kind"
python make_data.py --all "$kind" -o run/data/one_d
cd "run/$kind"
ln -sfn ../data data
rm -rf model.ckpt frozen_model.pb lcurve.out density.png
dd-tf train "$here/../../benchmarks/accuracy/inputs/one_d_$kind.json"
dd-tf freeze -c model.ckpt -o frozen_model.pb
for size in 8 32 64; do
    echo "== $size atoms"
    dd-tf test -m frozen_model.pb -s "data/one_d/$kind/test$size"
done
python "$here/plot.py" -m frozen_model.pb -s "data/one_d/$kind/test32" -o density.png
