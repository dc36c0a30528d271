#!/usr/bin/env python3
"""Reads the same rows with duia, Polars and DuckDB, in one run: exact repetitions left out, ids dense, sorted by time.

    cargo build --release
    python3 benches/ingest.py                       # 20 million rows, in order of time, as a log is written
    python3 benches/ingest.py --order user          # user by user, as UserBehavior.csv is
    python3 benches/ingest.py --rows 100000000

It makes a virtual environment with Polars and DuckDB (from PyPI) and the rows (`duia generate --preset paper`) in a temporary folder
outside the project, which is removed at the end. Every program is a process of its own, which starts, reads the file from the page cache
and ends; its wall time, its processor time and its largest memory are those the system counts. Each is run in turn, `--repeat` times; the
fastest run counts. All have to find the same numbers of rows, users, items and categories.

What each does: parse five columns; leave out rows outside the nine days; leave out exact repetitions; number users, items and categories
from 0; sort by time. duia also keeps the order of the file within a second and numbers ids in the order of the file, which the others are
not asked for, and at the end packs a sample of two users; the others leave the table in memory.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WINDOW = (1_511_539_200, 1_512_316_800)

POLARS = """
import json, sys
import polars as pl
path, start, end, way = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
schema = {"user": pl.UInt32, "item": pl.UInt32, "category": pl.UInt32, "behavior": pl.String, "time": pl.Int64}
words = pl.Enum(["pv", "cart", "fav", "buy"])
rows = pl.scan_csv(path, has_header=False, schema=schema).filter(pl.col("time").is_between(start, end, closed="left"))
rows = rows.with_columns(pl.col("behavior").cast(words)).unique(subset=["user", "item", "behavior", "time"]).collect()
counts = []
for column in ["user", "item", "category"]:
    if way == "join":
        ids = rows.select(column).unique().with_row_index(column + "_id")
        counts.append(len(ids))
        rows = rows.join(ids, on=column, how="left").drop(column)
    else:
        rows = rows.with_columns(pl.col(column).rank("dense") - 1)
        counts.append(rows[column].max() + 1)
rows = rows.sort("time")
print(json.dumps([len(rows), *counts]))
"""

DUCKDB = """
import json, sys
import duckdb
path, start, end = sys.argv[1:4]
db = duckdb.connect()
db.execute("SET preserve_insertion_order = false")
db.execute("SET enable_progress_bar = false")
columns = "{'u': 'UINTEGER', 'i': 'UINTEGER', 'c': 'UINTEGER', 'b': \\"ENUM('pv', 'cart', 'fav', 'buy')\\", 't': 'BIGINT'}"
db.execute(f"CREATE TABLE rows AS SELECT DISTINCT ON (u, i, b, t) * FROM read_csv('{path}', header=false, columns={columns}) "
           f"WHERE t >= {start} AND t < {end}")
counts = [db.execute("SELECT count(*) FROM rows").fetchone()[0]]
for column in "uic":
    db.execute(f"CREATE TABLE ids_{column} AS SELECT {column}, (row_number() OVER () - 1)::UINTEGER AS id FROM (SELECT DISTINCT {column} FROM rows)")
    counts.append(db.execute(f"SELECT count(*) FROM ids_{column}").fetchone()[0])
db.execute("CREATE TABLE sorted AS SELECT ids_u.id AS u, ids_i.id AS i, ids_c.id AS c, b, t FROM rows "
           "JOIN ids_u USING (u) JOIN ids_i USING (i) JOIN ids_c USING (c) ORDER BY t")
print(json.dumps(counts))
"""

SHUFFLE = """
import sys
import duckdb
source, target, folder = sys.argv[1:4]
db = duckdb.connect()
db.execute(f"SET temp_directory = '{folder}'")
db.execute(f"COPY (SELECT * FROM read_csv('{source}', header=false) ORDER BY column0, column4) TO '{target}' (header false)")
"""


def measured(command):
    """Runs a command; its output, wall seconds, processor seconds and largest memory in GB."""
    began = time.monotonic()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    if status != 0:
        sys.exit(f"{command[0]} failed with status {status}")
    return output, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--order", choices=["time", "user"], default="time", help="how the rows follow each other in the file")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--duia", type=Path, default=Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "release/duia")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is to be; it needs some 40 bytes a row")
    arguments = parser.parse_args()
    duia = arguments.duia.resolve()
    if not duia.is_file():
        sys.exit(f"{duia} is not there: build it with `cargo build --release`, or name it with --duia")
    with tempfile.TemporaryDirectory(prefix="duia-ingest-", dir=arguments.folder) as folder:
        compare(Path(folder), duia, arguments)


def compare(folder, duia, arguments):
    print("Installing Polars and DuckDB ...", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", folder / "python"], check=True)
    python = folder / "python/bin/python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "polars", "duckdb"], check=True)
    rows, sample = folder / "rows.csv", folder / "sample.bin"
    _, wall, *_ = measured([duia, "generate", "--preset", "paper", "--rows", arguments.rows, "--out", rows])
    print(f"Generated {rows.stat().st_size / 1e9:.2f} GB in {wall:.1f} s.", file=sys.stderr)
    if arguments.order == "user":
        by_user = folder / "by-user.csv"
        measured([python, "-c", SHUFFLE, rows, by_user, folder])
        by_user.replace(rows)
    ways = {
        "duia": [duia, "sample", rows, "--users", 2, "--no-cache", "--out", sample],
        "Polars, ids by join": [python, "-c", POLARS, rows, *WINDOW, "join"],
        "Polars, ids by rank": [python, "-c", POLARS, rows, *WINDOW, "rank"],
        "DuckDB": [python, "-c", DUCKDB, rows, *WINDOW],
    }
    best, found = {}, {}
    for turn in range(arguments.repeat):
        for name, command in ways.items():
            output, *figures = measured(command)
            print(f"turn {turn + 1}, {name}: {figures[0]:.1f} s", file=sys.stderr)
            found[name] = output.splitlines()[0] if name == "duia" else json.loads(output.splitlines()[-1])
            best[name] = min(best.get(name, figures), figures)
    counts = {tuple(value) for name, value in found.items() if name != "duia"}
    if len(counts) != 1:
        sys.exit(f"they did not find the same: {found}")
    left, users, *_ = counts.pop()
    if f": {left:,} rows of {users:,} users." not in found["duia"]:
        sys.exit(f"duia found something else: {found}")
    print(f"{arguments.rows:,} rows by {arguments.order}, {rows.stat().st_size / 1e9:.2f} GB, {left:,} left, {os.cpu_count()} cores\n")
    print("| | seconds | of processors | GB at most | duia is faster by |\n| --- | ---: | ---: | ---: | ---: |")
    for name, (wall, cpu, memory) in best.items():
        ratio = "" if name == "duia" else f"{wall / best['duia'][0]:.2f}"
        print(f"| {name} | {wall:.1f} | {cpu:.1f} | {memory:.2f} | {ratio} |")


if __name__ == "__main__":
    main()
