"""A round as a script: run in a process of its own, it makes the same pixels."""

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pipeline_utils.engine.script import as_python, quoted
from pipeline_utils.errors import InputError
from pipeline_utils.models.runtime import fingerprint
from pipeline_utils.models.sources import resolve
from pipeline_utils.picture.picture import pixel_sha256
from pipeline_utils.recipe.ask import Ask
from pipeline_utils.recipe.rounds import first_round, second_round, variations
from tests import tiny
from tests.making import load, made, pictures, recipe, studio
from tests.tiny import tiny_single_file, tiny_unclip

PLAIN = {"torch": "2.13.0", "threads": 1}


def run(script: str, folder: Path) -> list[str]:
    """Pixel hashes of what a script saves, in the order of the round."""
    (folder / "round.py").write_text(script, "utf-8")
    subprocess.run([sys.executable, "round.py"], cwd=folder, check=True, capture_output=True, timeout=300)
    files = sorted(folder.glob("*_seed-*.png"), key=lambda file: int(file.name.split("_")[0]))
    return [pixel_sha256(Image.open(file)) for file in files]


@pytest.fixture(scope="module")
def loaded(tiny_sd_folder):
    return load(tiny_sd_folder)


def test_the_script_of_a_round_makes_its_pixels_in_a_fresh_process(tiny_sd_folder, tmp_path):
    """Five pictures on four lanes, so that a second call is padded; a hard prompt; noise in every step."""
    here = studio(tiny_sd_folder, tmp_path / "shelf")
    first = made(
        here.first_round(
            Ask('a "cat",\n\\ {x} %s é', "7", sampler="Euler a", num_inference_steps=3, negative_prompt="it's a dog")
        )
    )
    events = made(here.second_round(first[0].picture, [", artsy", ", trending", ", colorful", ", pixel art"]))
    assert len(events) == 5
    found = [event.picture for event in sorted(events, key=lambda event: event.index)]
    spec = here.models.spec(here.models.default)
    script = as_python([p.recipe for p in found], spec, found[0].fingerprint, source=str(tiny_sd_folder))
    assert run(script, tmp_path) == [p.pixel_sha256 for p in found]


def test_the_script_of_a_first_round_reads_like_the_documentation(loaded):
    recipes = first_round(recipe(loaded, prompt="a dog"), range(4)).recipes
    spec = replace(loaded.spec, name="emoji-sd")
    assert (
        as_python(recipes, spec, {"torch": "2.13.0"})
        == """import torch
from diffusers import DiffusionPipeline

pipe = DiffusionPipeline.from_pretrained("assets/emoji-sd", dtype=torch.float32, use_safetensors=True)

prompts = ["a dog"] * 4
seeds = [0, 1, 2, 3]

generator = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
images = pipe(
    prompts,
    generator=generator,
    num_inference_steps=3,
    guidance_scale=5.0,
    width=32,
    height=32,
).images

for number, image in enumerate(images[:4]):
    image.save(f"{number}_seed-{seeds[number]}.png")
"""
    )


@pytest.mark.parametrize("family", ["sd", "sdxl", "sd3", "flux"])
def test_the_script_of_variations_makes_their_pixels_in_a_fresh_process(family, tmp_path):
    """Five pictures on four lanes, the control among them; a sampler that draws noise in every step."""
    here = load(getattr(tiny, f"tiny_{family}")(tmp_path / family))
    sampler = {"scheduler": "EulerAncestralDiscreteScheduler"} if family in ("sd", "sdxl") else {}
    pick = recipe(here, 5, num_inference_steps=2, **sampler)
    asked = variations(pick, [7, 8, 9, 10], 0.3).recipes
    script = as_python(asked, here.spec, fingerprint(here.device), source=here.spec.source)
    assert "def slerp(one, other, share):" in script
    ours = [Image.frombytes("RGB", (pick.width, pick.height), pixels) for pixels in pictures(here, asked)]
    assert run(script, tmp_path) == [pixel_sha256(image) for image in ours]


def test_a_script_without_variations_says_nothing_of_them(loaded):
    assert "slerp" not in as_python([recipe(loaded)], loaded.spec, PLAIN)
    script = as_python(variations(recipe(loaded, 5), [9], 0.2).recipes, loaded.spec, PLAIN)
    assert "second_seeds = [5, 9]" in script
    assert "shares = [0.0, 0.2]" in script


def test_determinism_is_switched_on_only_when_it_was_on(loaded):
    recipes = [recipe(loaded, full_determinism=True)]
    script = as_python(recipes, loaded.spec, PLAIN)
    assert "torch.use_deterministic_algorithms(True)" in script
    assert "determinis" not in as_python([recipe(loaded)], loaded.spec, PLAIN)


def test_what_every_picture_of_a_gpu_is_made_with_is_set_before_torch_is_imported(loaded):
    script = as_python([recipe(loaded)], loaded.spec, {"cuda": "12.8"})
    for line in (
        'os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"',
        'os.environ["CUBLASLT_WORKSPACE_SIZE"] = "32768"',
    ):
        assert script.index(line) < script.index("import torch")
    assert "torch.backends.cudnn.deterministic = True" in script
    assert "os.environ" not in as_python([recipe(loaded)], loaded.spec, PLAIN)


def test_threads_are_set_on_a_cpu_only(loaded):
    assert "torch.set_num_threads(1)" in as_python([recipe(loaded)], loaded.spec, PLAIN)
    assert "threads" not in as_python([recipe(loaded)], loaded.spec, {"cuda": "12.8"})


def test_a_gpu_is_used_where_one_was_used(loaded):
    recipes = [recipe(loaded, noise_device="cuda", dtype="float16")]
    script = as_python(recipes, loaded.spec, {"cuda": "12.8"})
    assert 'pipe.to("cuda")' in script
    assert 'torch.Generator("cuda")' in script
    assert "dtype=torch.float16" in script
    offloaded = as_python([recipe(loaded, offload="model")], loaded.spec, {"cuda": "12.8"})
    assert "pipe.enable_model_cpu_offload()" in offloaded
    assert "pipe.to(" not in offloaded


def test_a_hub_model_is_named_with_its_commit(loaded):
    spec = resolve("stabilityai/sdxl-turbo")
    script = as_python([recipe(loaded, revision="a" * 40)], spec, PLAIN)
    assert '    "stabilityai/sdxl-turbo",\n    revision="' + "a" * 40 + '",\n' in script


def test_a_path_of_this_machine_is_not_told(loaded):
    script = as_python([recipe(loaded)], loaded.spec, PLAIN)
    assert loaded.spec.source not in script
    assert '"path/to/tiny-sd"' in script


def test_a_single_file_is_loaded_as_one(tmp_path):
    spec = resolve(str(tiny_single_file(tmp_path)))
    here = load(tmp_path / "tiny.safetensors")
    script = as_python([recipe(here)], spec, PLAIN)
    assert 'StableDiffusionPipeline.from_single_file("path/to/tiny.safetensors"' in script
    assert 'config="path/to/tiny"' in script


def test_a_model_with_three_schedulers_keeps_them(tmp_path):
    here = load(tiny_unclip(tmp_path / "unclip"))
    script = as_python([recipe(here, lanes=2)], here.spec, PLAIN)
    assert "scheduler" not in script
    assert "prior_num_inference_steps=3" in script
    ast.parse(script)


def test_recipes_that_no_single_call_serves_are_refused(loaded):
    with pytest.raises(InputError, match="all but prompts, seeds and variations"):
        as_python([recipe(loaded), recipe(loaded, width=40)], loaded.spec, PLAIN)


@pytest.mark.parametrize(
    "text",
    [
        "a dog",
        "it's",
        'say "hi"',
        """both ' and " """,
        "back\\slash",
        "new\nline",
        "\u202edetrevni",
        "é 🎲",
        "'",
        '"',
        "",
    ],
)
def test_any_prompt_is_quoted_so_that_python_reads_it_back(text):
    assert ast.literal_eval(quoted(text)) == text
    assert quoted(text).isprintable()


def test_prompts_that_look_like_code_stay_text(loaded):
    prompt = '"]; import os; os.abort() #{__import__("os")}'
    script = as_python([recipe(loaded, prompt=prompt, lanes=1)], loaded.spec, PLAIN)
    assigned = [n.value for n in ast.parse(script).body if ast.unparse(n).startswith("prompts = ")]
    assert [ast.literal_eval(value) for value in assigned] == [[prompt]]


def test_a_second_round_names_its_seed_once(loaded):
    asked = second_round(recipe(loaded, 7), [", artsy", ", trending", ", colorful"])
    script = as_python(asked.recipes, loaded.spec, fingerprint(loaded.device))
    assert "seeds = [7] * 4" in script
    assert 'prompts = ["a red fox", "a red fox, artsy", "a red fox, trending", "a red fox, colorful"]' in script
