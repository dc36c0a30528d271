"""Runs a notebook to its end without a front end, says what its widgets hold, and keeps its kernel until standard input ends.

python notebook.py NOTEBOOK. A cell that fails is an error. Writes one line of JSON: the state of each widget, in the order of the cells.
"""

import asyncio
import json
import sys

import nbformat
from nbclient import NotebookClient


async def main(path):
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=240, startup_timeout=240, kernel_name="python3")
    async with client.async_setup_kernel():
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type == "code":
                await client.async_execute_cell(cell, index)
        shown = [output.data["application/vnd.jupyter.widget-view+json"]["model_id"] for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs if "data" in output]
        print(json.dumps([client.widget_state[model] for model in shown]), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main(sys.argv[1]))
