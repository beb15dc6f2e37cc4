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
# A training that goes on where it stopped: its folder, input, seed, options of a start.
train() {
    mkdir -p "$1"
    cd "$1"
    ln -sfn "$data" data
    sed "s/\"seed\": 1/\"seed\": $3/" "$2" > input.json
    if [ -e model.ckpt/checkpoint ]; then
        dd-tf train input.json --restart
    else
        shift 3
        dd-tf train input.json "$@"
    fi
}
for seed in 1 2; do
    run=$here/run/$name/$seed
    train "$run" "$inputs/$name.json" $seed
    if [ -e "$here/${name}_last.json" ]; then
        dd-tf freeze -o first.pb
        train "$run/last" "$here/${name}_last.json" $seed --init-model ../first.pb
    fi
    mkdir -p "$run/result"
    cp model.ckpt/* "$run/result/"
done
cd "$here/run/$name"
dd-tf freeze -c 1/result 2/result -o ensemble.pb
dd-tf test -m ensemble.pb -s "$data/$system" --frames $frames --calibrate "$name.pb"
