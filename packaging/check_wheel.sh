#!/bin/sh
# check_wheel.sh WHEEL [PYTHON] [TENSORFLOW]: install a wheel into an empty virtual environment and use
# it with nothing but that environment on the PATH; then compile the C example, if there is a compiler.
set -eu
wheel=$(realpath "$1")
python=${2:-python3}
tensorflow=${3:-tensorflow}
root=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" - "$wheel" <<'END'
import sys, zipfile

names = zipfile.ZipFile(sys.argv[1]).namelist()
for part in ("models/organic.pb", "licenses/LICENSE", "lib/libdeepdensity_op.so"):
    if not any(name.endswith(part) for name in names):
        sys.exit(f"{sys.argv[1]}: {part} is missing")
foreign = [name for name in names if ".so" in name and "/libdeepdensity_" not in name]
if foreign:
    sys.exit(f"{sys.argv[1]}: holds libraries of others: {' '.join(foreign)}")
END
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --progress-bar off "$tensorflow" "$wheel[view]"
cd "$folder"
cp -r "$root/examples/ethane/data" "$root/examples/ethane/ethane.xyz" "$root/examples/ethane/input.json" .
alone() { env -i PATH="$folder/venv/bin" HOME="$folder" "$@"; }
alone dd-tf --version
alone dd-tf -q predict -m organic ethane.xyz --spacing 0.25 -o shipped.cube
test -s shipped.cube
alone python -c "
import json
data = json.load(open('input.json'))
data['training'] |= {'numb_steps': 20, 'max_time': None, 'disp_freq': 10}
json.dump(data, open('input.json', 'w'))"
alone dd-tf -q train input.json
alone dd-tf -q freeze -c model.ckpt -o frozen_model.pb
alone dd-tf -q compress -i frozen_model.pb -o compressed.pb
alone dd-tf -q predict -m compressed.pb ethane.xyz --spacing 0.25 -o rho.cube
alone dd-tf -q view rho.cube --nopbc
test -s rho.cube && test -s rho.html
if command -v c++ >/dev/null; then
    PATH="$folder/venv/bin:$PATH"
    eval "c++ $root/examples/c_api/density.cpp $(dd-tf config --cflags --ldflags) -o density"
    for model in frozen_model.pb organic; do
        alone ./density $model "$root/examples/c_api/ethane.extxyz" 20 20 20 $model.cube
        test -s $model.cube
    done
fi
echo "$(basename "$wheel"): works with $("$python" --version) and $tensorflow"
