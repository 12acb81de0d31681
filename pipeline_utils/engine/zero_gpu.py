"""ZeroGPU Spaces lend a GPU for one call of a decorated function, which runs in a forked process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from pipeline_utils.engine import engine
from pipeline_utils.engine.call import STEPS, why_one_lane
from pipeline_utils.engine.events import Event, LanesDisagree, Make, Step
from pipeline_utils.engine.model_thread import MODEL
from pipeline_utils.engine.pool import Models
from pipeline_utils.engine.stops import Stopped, streamed
from pipeline_utils.errors import InputError, UserError
from pipeline_utils.models.runtime import Loaded
from pipeline_utils.recipe.recipe import Recipe
from pipeline_utils.settings import Settings

# Seconds asked for: a fork and the move to the GPU, then generous time for each step of each call.
_START, _PER_CALL, _PER_STEP = 10, 3, 0.5
# A visitor has minutes a day and must have as many left as are asked for, so each call of a round has its own loan.
_MOST = 120  # seconds of one loan


def limited(settings: Settings) -> Settings:
    """One model only: it is moved to the GPU before processes are forked, and none can follow it."""
    return replace(settings, switching="one")


def seconds(recipes: Sequence[Recipe], previews: bool = False, tries: int = 0) -> int:
    """GPU seconds to reserve for one pipeline call, which makes `recipes`; a shorter wish is served earlier.

    tries: how many lanes are tried out first.
    """
    steps = recipes[0].num_inference_steps + tries * STEPS
    return round(_START + _PER_CALL * (1 + tries) + _PER_STEP * steps)


def loans(loaded: Loaded, recipes: Sequence[Recipe]) -> list[list[int]]:
    """Indices of the recipes of each loan, in order: one pipeline call.

    Raises InputError for a call that takes longer than a GPU is lent for.
    """
    plan = engine.calls(loaded, recipes, most=1)  # the fewest, since a short loan is served earlier
    for indices in plan:
        call = [recipes[index] for index in indices]
        if seconds(call) > _MOST:
            most = int((_MOST - _START - _PER_CALL) / _PER_STEP)
            limit = f"the GPU of this host is lent for {_MOST} seconds, enough for {most}"
            raise InputError("num_inference_steps", call[0].num_inference_steps, limit)
    return plan


def lent(models: Models) -> Make:
    """A stand-in for engine.make that borrows the GPU. Elsewhere the decorator does nothing.

    Only recipes go into the forked process and only events come out of it, because both are
    pickled: the model is found there as it was before the fork, and its thread is a new one.
    """
    import spaces

    tried = threading.Event()

    @spaces.GPU(duration=seconds)
    def lend(recipes: Sequence[Recipe], previews: bool, tries: int) -> Iterator[Event | UserError | str]:
        try:
            loaded = models.in_memory()
            if tries:
                reason = MODEL.run(lambda: why_one_lane(loaded))
                yield reason
                if reason:
                    return
            yield from engine.generate(loaded, recipes, previews=previews)
        except UserError as error:  # raised here, no more than the name of its class would be handed on
            yield error

    def make(
        loaded: Loaded,
        recipes: Sequence[Recipe],
        stop: threading.Event,
        previews: bool,
        emit: Callable[[Event], None],
    ) -> None:
        """As engine.make. Raises LanesDisagree when the first GPU that is lent shows it; nothing is made then."""
        engine.check(loaded, recipes)
        plan = [(indices, [recipes[index] for index in indices]) for indices in loans(loaded, recipes)]
        before, total = 0, sum(engine.steps(loaded, chosen) for _, chosen in plan)
        for indices, chosen in plan:
            tries = loaded.lanes if loaded.lanes > 1 and not tried.is_set() else 0

            def borrow(emit: Callable, stop: threading.Event, chosen: list = chosen, tries: int = tries) -> None:
                with closing(lend(chosen, previews, tries)) as events:
                    for event in events:
                        if stop.is_set():
                            return
                        emit(event)

            failure: Exception | None = None
            # A GPU may be waited for, which cannot be broken off: what comes after a stop is given back unused.
            for event in streamed(borrow, stop, abandon=True):
                if isinstance(event, UserError):
                    failure = event
                elif isinstance(event, str):
                    tried.set()
                    if event:
                        models.one_lane(event)
                        failure = LanesDisagree()
                elif isinstance(event, Step):
                    served = tuple(indices[index] for index in event.pictures)
                    emit(replace(event, done=before + event.done, total=total, pictures=served))
                else:
                    emit(replace(event, index=indices[event.index]))
            if failure is not None:
                raise failure
            if stop.is_set():
                raise Stopped
            before += engine.steps(loaded, chosen)

    return make
