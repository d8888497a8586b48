"""Reading and making data needs no torch."""

import subprocess
import sys


def test_importing_data_loads_no_heavy_library() -> None:
    code = (
        "import sys, wavrag.data;"
        "print([m for m in ('torch', 'transformers', 'pydantic') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_reading_a_recipe_loads_no_torch() -> None:
    code = (
        "import sys; from wavrag.train.contrastive import load_recipe; load_recipe('tiny');"
        "print('torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"
