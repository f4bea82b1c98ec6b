"""`inspect`, `merge` and `library` once each in a process of their own, as they are typed."""

import json
import subprocess
import sys

import torch


def run(folder, *arguments):
    command = [sys.executable, "-m", "pseudoword", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_make_a_word_out_of_words_look_at_it_and_find_it_in_the_folder(tmp_path):
    (tmp_path / "embeddings").mkdir()
    torch.save({"string_to_param": {"*": torch.full((2, 256), 0.02)}, "step": 5}, tmp_path / "embeddings" / "hikon.pt")
    made = run(tmp_path, "merge", "mix", "'a photo of' + hikon*0.5")
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout == "wrote embeddings/mix.safetensors  (3 vectors, clip_l 256)\n"
    looked = run(tmp_path, "inspect", "--json", "embeddings/mix.safetensors", "embeddings/hikon.pt", "embeddings")
    assert looked.returncode == 2
    assert [(one["trigger"], one["layout"]) for one in json.loads(looked.stdout)] == [
        ("mix", "emb_params"),
        ("hikon", "a1111"),
    ]
    assert looked.stderr.count("\n") == 1
    listed = run(tmp_path, "library", "--json")
    assert listed.returncode == 0
    assert [one["trigger"] for one in json.loads(listed.stdout)["loaded"]] == ["hikon", "mix"]


def test_help_of_these_commands_loads_no_torch(tmp_path):
    for command in ("inspect", "merge", "library"):
        script = (
            "import sys; from typer.testing import CliRunner; from pseudoword.cli.main import app; "
            f"assert CliRunner().invoke(app, ['{command}', '--help']).exit_code == 0; "
            "assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False).returncode == 0
