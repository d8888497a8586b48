"""Reading and making data needs no torch, nor does reading a recipe."""

import subprocess
import sys


def test_data_and_recipes_load_no_heavy_library() -> None:
    code = (
        "import sys, wavrag.data;"
        "print([m for m in ('torch', 'transformers', 'pydantic') if m in sys.modules]);"
        "from wavrag.train.contrastive import load_recipe; load_recipe('tiny');"
        "print('torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["[]", "False"]
