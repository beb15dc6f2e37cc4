#!/bin/sh
# A model as it comes with the package: two trainings, one ensemble, calibration; run/NAME/NAME.pb.
#     sh run.sh NAME DATA     NAME: organic, water, aluminium
# DATA: folder of the systems that the input asks for, by examples/data_recipes (of organic days of
# one core, of the others an hour). What was begun goes on.
set -eu
name=$1
data=$(cd "$2" && pwd)
cd "$(dirname "$0")"
here=$(pwd)
inputs=$here/../../benchmarks/accuracy/inputs
case $name in
organic) system=validation frames=: inputs=$here ;;
water) system=w8 frames=24: ;;
aluminium) system=al4 frames=48: ;;
esac
for seed in 1 2; do
    mkdir -p "run/$name/$seed"
    cd "run/$name/$seed"
    ln -sfn "$data" data
    sed "s/\"seed\": 1/\"seed\": $seed/" "$inputs/$name.json" > input.json
    if [ -e model.ckpt/checkpoint ]; then dd-tf train input.json --restart; else dd-tf train input.json; fi
    cd "$here"
done
cd "run/$name"
dd-tf freeze -c 1/model.ckpt 2/model.ckpt -o ensemble.pb
dd-tf test -m ensemble.pb -s "$data/$system" --frames $frames --calibrate "$name.pb"
