"""The engine on genuine pipelines of tiny size."""

import threading
from dataclasses import replace
from unittest import mock

import pytest
import torch

from pipeline_utils.engine import engine
from pipeline_utils.engine.call import clone
from pipeline_utils.engine.events import Finished, Step
from pipeline_utils.engine.model_thread import MODEL
from pipeline_utils.errors import CapacityError, InputError, ModelError
from pipeline_utils.models.catalog import FAMILIES
from tests import tiny
from tests.making import is_made, load, pictures, plain, recipe, seeded
from tests.running import BUNDLED

SCHEDULERS = FAMILIES["StableDiffusionPipeline"].schedulers


@pytest.fixture(scope="module")
def loaded(tiny_sd_folder):
    return load(tiny_sd_folder)


@pytest.mark.parametrize("which", ["tiny", "bundled"])
def test_pictures_equal_those_of_plain_diffusers(which, tiny_sd_folder):
    loaded = load(tiny_sd_folder if which == "tiny" else BUNDLED)
    ours = pictures(loaded, [recipe(loaded, seed) for seed in range(4)])
    call = {"num_inference_steps": 3, "guidance_scale": 5.0}
    assert ours == plain(loaded, prompt=["a red fox"] * 4, generator=seeded(0, 1, 2, 3), **call)
    # The text encoder then sees one prompt instead of four.
    assert ours == plain(loaded, prompt="a red fox", num_images_per_prompt=4, generator=seeded(0, 1, 2, 3), **call)


def test_styles_on_one_seed_equal_those_of_plain_diffusers(loaded):
    prompts = ["a cat", "a cat, artsy", "a cat, trending", "a cat, colorful"]
    ours = pictures(loaded, [recipe(loaded, 7, prompt=prompt) for prompt in prompts])
    call = {"num_inference_steps": 3, "guidance_scale": 5.0}
    assert ours == plain(loaded, prompt=prompts, generator=seeded(7, 7, 7, 7), **call)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_picture_does_not_depend_on_its_neighbours_its_slot_or_the_size_of_the_round(loaded, scheduler):
    """Samplers that draw noise in every step included: it comes from the picture's own generator."""
    wanted = recipe(loaded, 5, scheduler=scheduler, num_inference_steps=4)
    others = [replace(wanted, seed=seed, prompt="a house, watercolor") for seed in range(10, 16)]
    (alone,) = pictures(loaded, [wanted])
    for place in (0, 2, 3, 5):
        assert pictures(loaded, [*others[:place], wanted, *others[place:]])[place] == alone


def test_a_long_round_is_made_in_parts_and_gives_no_extra_pictures(loaded):
    events = list(engine.generate(loaded, [recipe(loaded, seed) for seed in range(10)]))
    assert [e.index for e in events if is_made(e)] == list(range(10))
    steps = [e for e in events if isinstance(e, Step)]
    assert [(e.done, e.total) for e in steps] == [(n, 6) for n in range(1, 7)]
    assert [e.pictures for e in steps] == [tuple(range(8))] * 3 + [(8, 9)] * 3


def test_a_pipeline_with_a_part_that_is_no_rows_of_pictures_is_called_with_exactly_as_many_as_its_lanes(loaded):
    """A safety checker looks at numpy pictures, so nobody can fill up its call but the pipeline's own."""
    checked, sizes = replace(loaded, pipe=clone(loaded.pipe, "DDIMScheduler")), []

    def checker(images, clip_input):
        sizes.append(len(images))
        return images, [False] * len(images)

    checked.pipe.safety_checker, checked.pipe.feature_extractor = checker, lambda *_, **__: mock.MagicMock()
    assert pictures(checked, [recipe(loaded, seed) for seed in range(5)]) == [
        picture for seed in range(5) for picture in pictures(loaded, [recipe(loaded, seed)])
    ]
    assert sizes == [4, 4]


def test_one_lane_gives_pictures_one_by_one(loaded):
    recipes = [recipe(loaded, seed, lanes=1) for seed in (3, 0)]
    events = list(engine.generate(loaded, recipes))
    assert [type(e) for e in events] == [Step, Step, Step, Finished] * 2
    call = {"num_inference_steps": 3, "guidance_scale": 5.0, "prompt": "a red fox"}
    assert [e.image.tobytes() for e in events if is_made(e)] == [
        plain(loaded, generator=seeded(seed), **call)[0] for seed in (3, 0)
    ]


def test_recipes_that_differ_in_more_than_prompt_and_seed_share_no_call(loaded):
    one = recipe(loaded)
    others = [
        recipe(loaded, num_inference_steps=2),
        recipe(loaded, guidance_scale=2.0),
        recipe(loaded, scheduler="EulerDiscreteScheduler"),
        recipe(loaded, width=40),
        recipe(loaded, negative_prompt="a dog"),
    ]
    for other in others:
        assert engine.calls(loaded, [one, other]) == [[0], [1]]
        assert pictures(loaded, [one, other, one])[::2] == pictures(loaded, [one]) * 2
    assert engine.calls(loaded, [one, recipe(loaded, 1, prompt="a dog")]) == [[0, 1]]


def test_an_empty_negative_prompt_is_none_whatever_the_neighbours_have(tmp_path):
    """In SDXL "" and none differ: the embedding of nothing is replaced by zeros."""
    loaded = load(tiny.tiny_sdxl(tmp_path / "sdxl"))
    without, with_one = recipe(loaded), recipe(loaded, negative_prompt="a dog")
    assert pictures(loaded, [without, with_one]) == [*pictures(loaded, [without]), *pictures(loaded, [with_one])]


@pytest.mark.parametrize("family", ["sdxl", "sd3", "flux", "unclip"])
def test_pictures_of_every_family_do_not_depend_on_their_neighbours(family, tmp_path):
    loaded = load(getattr(tiny, f"tiny_{family}")(tmp_path / family))
    wanted = recipe(loaded, 5, num_inference_steps=2, lanes=2)
    other = recipe(loaded, 6, num_inference_steps=2, lanes=2, prompt="a house")
    events = list(engine.generate(loaded, [wanted]))
    last = [e for e in events if isinstance(e, Step)][-1]
    assert last.done == last.total
    alone = events[-1].image.tobytes()
    assert pictures(loaded, [other, wanted])[1] == alone
    assert pictures(loaded, [wanted, other, other])[0] == alone


def test_seed_zero_is_a_seed(loaded):
    assert pictures(loaded, [recipe(loaded, 0)]) == pictures(loaded, [recipe(loaded, 0)])
    assert pictures(loaded, [recipe(loaded, 0)]) != pictures(loaded, [recipe(loaded, 1)])


def test_the_largest_seed_is_a_seed_of_its_own(loaded):
    assert pictures(loaded, [recipe(loaded, 2**32 - 1)]) != pictures(loaded, [recipe(loaded, 2**31 - 1)])


def test_global_random_state_is_neither_read_nor_moved(loaded):
    torch.manual_seed(1)
    first = pictures(loaded, [recipe(loaded, scheduler="EulerAncestralDiscreteScheduler")])
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), after)
    torch.manual_seed(2)
    assert pictures(loaded, [recipe(loaded, scheduler="EulerAncestralDiscreteScheduler")]) == first


def test_a_round_that_is_stopped_ends_within_one_step_and_leaves_the_next_one_exact(loaded):
    wanted = recipe(loaded, num_inference_steps=8)
    before = pictures(loaded, [wanted])
    stop, seen = threading.Event(), []
    for event in engine.generate(loaded, [wanted, recipe(loaded, 1, num_inference_steps=50)], stop):
        seen.append(event)
        stop.set()
    assert len([e for e in seen if isinstance(e, Step)]) <= 2  # one under way when the stop came
    assert not any(is_made(e) for e in seen)
    assert MODEL.under_way == 0
    assert pictures(loaded, [wanted]) == before


def test_closing_the_iterator_stops_the_round(loaded):
    events = engine.generate(loaded, [recipe(loaded, num_inference_steps=400)])
    next(events)
    events.close()
    assert len(pictures(loaded, [recipe(loaded)])) == 1  # gets its turn at once


def test_what_was_yielded_before_a_stop_is_kept(loaded):
    stop, kept = threading.Event(), []
    for event in engine.generate(loaded, [recipe(loaded, seed, lanes=1) for seed in range(9)], stop):
        if is_made(event):
            kept.append(event.image.tobytes())
            stop.set()
    assert 1 <= len(kept) < 9  # the round runs in a thread of its own, and may be a picture ahead of who reads
    assert kept == pictures(loaded, [recipe(loaded, seed, lanes=1) for seed in range(len(kept))])


def test_an_error_in_the_middle_reaches_the_caller_and_leaves_the_next_round_exact(loaded):
    wanted, count = [recipe(loaded, seed) for seed in range(4)], iter(range(99))

    def break_second_step(*_):
        if next(count) == 1:
            raise ValueError("a module broke")

    before = pictures(loaded, wanted)
    with (
        loaded.pipe.unet.register_forward_pre_hook(break_second_step),
        pytest.raises(ValueError, match="a module broke"),
    ):
        pictures(loaded, wanted)
    assert pictures(loaded, wanted) == before


def test_memory_running_out_is_said_in_a_sentence_that_names_what_to_lower(loaded):
    def allocate_a_petabyte(*_):
        torch.empty(1 << 50, dtype=torch.uint8)

    with (
        loaded.pipe.unet.register_forward_pre_hook(allocate_a_petabyte),
        pytest.raises(CapacityError, match=r"Memory ran out at 32x32 with 4 pictures at a time\. Lower"),
    ):
        pictures(loaded, [recipe(loaded)])
    assert len(pictures(loaded, [recipe(loaded)])) == 1


@pytest.mark.parametrize("family", ["sd", "sdxl"])
@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), KeyError("a broken module")])
def test_every_weight_has_its_number_format_again_whatever_happens_in_a_call(family, error, tmp_path):
    """SDXL lifts its decoder to float32 for the last step, and leaves it so when that fails."""
    loaded = load(getattr(tiny, f"tiny_{family}")(tmp_path / family), dtype="float16")
    loaded.pipe.vae.register_to_config(force_upcast=True)
    formats = {name: value.dtype for name, value in loaded.pipe.vae.state_dict().items()}
    wanted = [recipe(loaded, num_inference_steps=1, lanes=1)]
    before = pictures(loaded, wanted)

    def fail(*_):
        raise error

    broken = loaded.pipe.vae.decoder.register_forward_pre_hook(fail)
    with broken, pytest.raises(CapacityError if isinstance(error, RuntimeError) else KeyError):
        pictures(loaded, wanted)
    assert {name: value.dtype for name, value in loaded.pipe.vae.state_dict().items()} == formats
    assert set(formats.values()) == {torch.float16}
    assert pictures(loaded, wanted) == before


@pytest.mark.parametrize("kind", [MemoryError, torch.OutOfMemoryError])
def test_every_kind_of_memory_error_is_explained(loaded, kind):
    def run_out(*_):
        raise kind("CUDA out of memory")

    with loaded.pipe.unet.register_forward_pre_hook(run_out), pytest.raises(CapacityError):
        pictures(loaded, [recipe(loaded)])


def test_an_operation_without_a_deterministic_kernel_is_said_with_what_to_do(tiny_sd_folder):
    loaded = load(tiny_sd_folder, full_determinism=True)
    wanted = recipe(loaded, full_determinism=True)

    def refuse(*_):
        message = "cumsum_cuda_kernel does not have a deterministic implementation, but you set ..."
        if torch.are_deterministic_algorithms_enabled():
            raise RuntimeError(message)

    try:
        assert pictures(loaded, [wanted]) == pictures(loaded, [wanted])
        with (
            loaded.pipe.unet.register_forward_pre_hook(refuse),
            pytest.raises(ModelError, match=r"no deterministic kernel.*cumsum_cuda_kernel .* Start without"),
        ):
            pictures(loaded, [wanted])
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"model": "local:other"}, ModelError, "made for local:other"),
        ({"revision": "sha256:" + "0" * 32}, ModelError, "at sha256:0000"),
        ({"dtype": "bfloat16"}, InputError, "loaded in float32"),
        ({"noise_device": "cuda"}, InputError, "no CUDA GPU"),
        ({"full_determinism": True}, InputError, "started without it"),
        ({"offload": "model"}, InputError, "started with none"),
        ({"width": 36}, InputError, "multiple of 8"),
        ({"scheduler": "PNDMScheduler"}, InputError, "takes 4 or more"),
        ({"scheduler": "LCMScheduler"}, InputError, "works with"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused_before_any_work(loaded, changes, kind, words):
    with pytest.raises(kind, match=words):
        engine.generate(loaded, [recipe(loaded, **changes)])


def test_an_empty_round_is_refused(loaded):
    with pytest.raises(InputError, match="at least one"):
        engine.generate(loaded, [])


def test_clones_share_weights_but_no_scheduler_state(loaded):
    one, other = (clone(loaded.pipe, "EulerDiscreteScheduler") for _ in range(2))
    assert one.unet.conv_in is other.unet.conv_in is loaded.pipe.unet.conv_in
    one.scheduler.set_timesteps(3)
    assert other.scheduler.num_inference_steps is None
    assert loaded.pipe.scheduler.num_inference_steps != 3 or type(loaded.pipe.scheduler) is not type(one.scheduler)
