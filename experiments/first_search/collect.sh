#!/bin/sh
# Rebuild this folder's table and figure from run folders: sh collect.sh RUNS
# RUNS holds mnasfpn-ppo, mnasfpn-random and nasfpn-ppo, made by the commands in README.
set -e
runs=${1:-runs/first_search}
here=$(dirname "$0")
python run.py mode=report "runs=$runs/*" "out=$runs-report"
cp "$runs-report/matrix.csv" "$here/results.csv"
cp "$runs-report/report.md" "$runs-report/curves.png" "$here/"
for run in "$runs"/*/; do
    name=$(basename "$run")
    cp "$run/summary.json" "$here/$name.summary.json"
    cp "$run/trials.csv" "$here/$name.trials.csv"
    cp "$run/best.json" "$here/$name.best.json"
    cp "$run/best.png" "$here/$name.best.png"
done
