"""The examples run as they stand."""

import os
import subprocess
import sys


def test_train_and_draw(project_root, pictures_dir, tmp_path):
    script = project_root / "examples" / "train_and_draw.py"
    subprocess.run(
        [sys.executable, str(script), str(pictures_dir)],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        timeout=240,
    )
    assert (tmp_path / "embeddings" / "mystyle.safetensors").is_file()
    assert (tmp_path / "mystyle-0.png").is_file()
