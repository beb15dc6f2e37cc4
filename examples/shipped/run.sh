#!/bin/sh
# A model as it comes with the package: two trainings, one ensemble, calibration; run/NAME/NAME.pb.
#     sh run.sh NAME DATA     NAME: organic, water, aluminium
# DATA: folder of the systems that the input asks for, by examples/data_recipes (of organic days of
# one core, of the others an hour). What was begun goes on. After NAME.json come NAME_2.json and so on,
# each from the model of the one before.
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
# A training in the present folder: its input, the model that it goes on from or "".
train() {
    ln -sfn "$data" data
    sed "s/\"seed\": 1/\"numb_models\": 1, \"seed\": $seed/" "$1" > input.json
    if [ -e model.ckpt/checkpoint ]; then
        dd-tf train input.json --restart
    elif [ -n "$2" ]; then
        dd-tf train input.json --finetune "$2"
    else
        dd-tf train input.json
    fi
    dd-tf freeze
}
for seed in 1 2; do
    folder=$here/run/$name/$seed
    mkdir -p "$folder"
    cd "$folder"
    train "$inputs/$name.json" ""
    for input in "$here/${name}"_[0-9].json; do
        [ -e "$input" ] || continue
        mkdir -p more
        cd more
        train "$input" ../frozen_model.pb
    done
    ln -sfn "$(pwd)/model.ckpt" "$here/run/$name/$seed.ckpt"
done
cd "$here/run/$name"
dd-tf freeze -c 1.ckpt 2.ckpt -o ensemble.pb
dd-tf test -m ensemble.pb -s "$data/$system" --frames $frames --calibrate "$name.pb"
