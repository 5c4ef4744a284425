"""Execute the notebooks from clean and keep their outputs, without what differs from run to run.

python notebooks/refresh.py [NOTEBOOK ...]
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
TIMEOUT = 300  # seconds of one cell


def main() -> None:
    """Refresh those that are named, or all."""
    for path in map(Path, sys.argv[1:] or sorted(HERE.glob("*.ipynb"))):
        notebook = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as place:
            execute(notebook, Path(place))
        nbformat.write(notebook, path)
        print(f"{path}: {path.stat().st_size:,} bytes")


def execute(notebook: Any, place: Path) -> None:
    """Run all cells in a directory, as if for the first time.

    Raises:
        CellExecutionError: A cell failed.
    """
    client = NotebookClient(notebook, timeout=TIMEOUT, kernel_name="python3", record_timing=False)
    client.execute(cwd=str(place))
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [kept for kept in cell.outputs if kept.get("name") != "stderr"]


if __name__ == "__main__":
    main()
