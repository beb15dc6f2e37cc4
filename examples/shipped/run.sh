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
# The folder of a training, with its input.
enter() {
    mkdir -p "$2"
    cd "$2"
    ln -sfn "$data" data
    sed "s/\"seed\": 1/\"seed\": $seed/" "$1" > input.json
}
last=$here/${name}_last.json
for seed in 1 2; do
    enter "$inputs/$name.json" "$here/run/$name/$seed"
    if [ -e model.ckpt/checkpoint ]; then dd-tf train input.json --restart; else dd-tf train input.json; fi
    dd-tf freeze -o first.pb
    if [ -e "$last" ]; then
        enter "$last" last
        if [ -e model.ckpt/checkpoint ]; then dd-tf train input.json --restart; else dd-tf train input.json --init-model ../first.pb; fi
    fi
    ln -sfn "$(pwd)/model.ckpt" "$here/run/$name/$seed.ckpt"
done
cd "$here/run/$name"
dd-tf freeze -c 1.ckpt 2.ckpt -o ensemble.pb
dd-tf test -m ensemble.pb -s "$data/$system" --frames $frames --calibrate "$name.pb"
