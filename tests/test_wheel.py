"""The wheel: its contents, and the demo run from it in a new environment."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(*command: str | Path, cwd: Path) -> str:
    # Without PYTHONPATH, so that nothing is imported from the checkout.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (path,) = folder.glob("wavrag-*.whl")
    return path


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    source = ROOT / "src"
    files = {
        path.relative_to(source).as_posix()
        for path in (source / "wavrag").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == files
    for name in (
        "wavrag/embed/weights/minilm/model.onnx",
        "wavrag/server/static/index.html",
        "wavrag/evaluate/templates/report.html",
        "wavrag/demo/data/questions/questions.json",
        "wavrag/py.typed",
    ):
        assert name in names
    assert not [name for name in names if "/experiments/" in f"/{name}" or "/tests/" in f"/{name}"]


def test_the_demo_runs_from_the_wheel_in_a_new_environment(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    run(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index"),
        *("--no-deps", "--disable-pip-version-check", wheel),
        cwd=tmp_path,
    )
    (installed,) = home.glob("lib/python*/site-packages")
    # A plain path makes the dependencies importable without installing 900 MB again. Path files in
    # that folder are not read, so the editable install of this project stays out.
    (installed / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = run(python, "-c", "import wavrag; print(wavrag.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed)
    output = run(home / "bin" / "wavrag", "demo", cwd=tmp_path)
    assert "[1]" in output
    assert "lighthouse-radio-note.opus" in output
