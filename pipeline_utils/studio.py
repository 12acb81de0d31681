"""The studio: turns what is asked for into rounds of pictures on the shelf. What page, API and commands share."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypedDict, Unpack

from pipeline_utils.engine.events import Event, Finished, LanesDisagree, Make, Refused, Step
from pipeline_utils.engine.model_thread import MODEL
from pipeline_utils.engine.pool import Models
from pipeline_utils.engine.shares import Bounds, Pace
from pipeline_utils.engine.stops import Stop, Stops, streamed
from pipeline_utils.errors import InputError, ModelError, UserError
from pipeline_utils.files import check_writable
from pipeline_utils.models.catalog import ModelSpec, sampler_class
from pipeline_utils.models.revisions import short
from pipeline_utils.models.runtime import Device, Loaded
from pipeline_utils.models.tokens import check_words
from pipeline_utils.picture.picture import Lineage, Picture
from pipeline_utils.recipe.ask import Ask
from pipeline_utils.recipe.recipe import check_bool
from pipeline_utils.recipe.rounds import Round, first_round, grid, parse_seeds, second_round, variations
from pipeline_utils.settings import Settings
from pipeline_utils.shelf.owners import Shelves
from pipeline_utils.shelf.shelf import Shelf


@dataclass(frozen=True)
class Waiting:
    """Nothing is made yet: the model is being loaded, or others have their turn."""

    reason: str


@dataclass(frozen=True)
class Started:
    """The round is checked and begins."""

    round: Round


@dataclass(frozen=True)
class Made:
    """Picture `index` of the round is on the shelf."""

    index: int
    picture: Picture
    file: Path


class How(TypedDict, total=False):
    """How any round is made, whatever it is of.

    shelf: where the pictures go; the one of programs where it is left out. previews: also show them while they grow.
    """

    cut_long_prompts: bool
    stop: threading.Event | None
    shelf: Shelf | None
    previews: bool


RoundEvent = Waiting | Started | Step | Made | Refused


class Studio:
    """One for the process. Thread-safe: every visitor's round runs in a thread of its own."""

    def __init__(self, settings: Settings, models: Models, shelf: Shelf, make: Make | None = None) -> None:
        self.settings, self.models, self.shelf = settings, models, shelf
        self.shelves = Shelves(shelf, settings.own_shelves)
        self.stops = Stops(Bounds(settings.bound("visitor_rounds"), settings.bound("address_rounds")))
        self._pace = Pace(settings.bound("visitor_pictures"))
        self.visited = threading.Event()  # once a page was opened
        if make is not None:
            self.make = make

    @property
    def device(self) -> Device:
        """Where models run. Who asks before torch has started waits for it."""
        return self.models.start()

    @cached_property
    def make(self) -> Make:
        """What makes a round, where the start gave no stand-in. torch comes with it, which the page does without."""
        from pipeline_utils.engine import engine

        return engine.make

    def trouble(self) -> str:
        """Why no picture can be kept now, in a sentence; as a rule there is no reason."""
        try:
            check_writable(self.shelf.folder)
        except UserError as error:
            return str(error)
        return ""

    def first_round(self, ask: Ask, **how: Unpack[How]) -> Iterator[RoundEvent]:
        """One prompt, one picture for each seed.

        Raises InputError before any work, ModelError when the model cannot be had.
        """
        numbers = parse_seeds(ask.seeds, random.SystemRandom().randrange)
        own = {} if ask.sampler is None else {"scheduler": sampler_class(ask.sampler)}
        wanted = self.models.spec(self.models.default) if ask.model is None else self.models.open(ask.model)

        def build(loaded: Loaded) -> Round:
            recipe = loaded.recipe(
                seed=numbers[0],
                noise_device=self.settings.noise_device,
                **own,
                **ask.settings,
            )
            return first_round(recipe, numbers)

        return self._make(wanted, None, build, **how | {"cut_long_prompts": ask.cut_long_prompts})

    def second_round(self, picked: Picture, suffixes: Sequence[str], **how: Unpack[How]) -> Iterator[RoundEvent]:
        """The picked recipe once more as control, then with each suffix. Raises as first_round does.

        A picture may come from anywhere, so a model that only its recipe names is never downloaded.
        """
        asked = second_round(picked.recipe, suffixes, number=picked.lineage.round + 1, parent=picked.id)
        return self._again(asked, **how)

    def variations(
        self, picked: Picture, seeds: str = "4 random", strength: float = 0.2, **how: Unpack[How]
    ) -> Iterator[RoundEvent]:
        """The picked recipe once more as control, then with its noise turned towards that of each second seed.

        strength: 0 is the pick, 1 the second seed. Raises as second_round does.
        """
        numbers = parse_seeds(seeds, random.SystemRandom().randrange)
        number = picked.lineage.round + 1
        return self._again(variations(picked.recipe, numbers, strength, number=number, parent=picked.id), **how)

    def grid(self, picked: Sequence[Picture], suffixes: Sequence[str], **how: Unpack[How]) -> Iterator[RoundEvent]:
        """Every picked picture's second round in one: a row for each, led by its control. Raises as second_round."""
        asked = grid(
            [picture.recipe for picture in picked],
            suffixes,
            number=max((picture.lineage.round for picture in picked), default=0) + 1,
            parents=[picture.id for picture in picked],
        )
        return self._again(asked, **how)

    def _again(self, asked: Round, **how: Unpack[How]) -> Iterator[RoundEvent]:
        """Makes a round of pictures that may come from anywhere; only a model that is here makes them.

        It runs in their number format, since another gives other bits.
        """
        models = dict.fromkeys((recipe.model, recipe.revision) for recipe in asked.recipes)
        spec, *others = (self.models.meant(*model) for model in models)
        if not all(self.models.same(spec, other) for other in others):
            named = " and ".join(f"{name} at {short(revision)}" for name, revision in models)
            raise InputError("pictures", named, "all come from one model at one revision")
        dtypes = sorted({recipe.dtype for recipe in asked.recipes})
        if len(dtypes) > 1:
            raise InputError("pictures", " and ".join(dtypes), "all have one number format")
        if not self.models.is_here(spec, dtypes[0]):
            raise ModelError(
                f"{spec.title} {self.models.missing(spec)} Choose {self.models.label(spec)} as the model, "
                "then pick again."
            )

        def build(loaded: Loaded) -> Round:
            return replace(asked, places=tuple(replace(p, recipe=loaded.adopt(p.recipe)) for p in asked.places))

        return self._make(spec, dtypes[0], build, **how)

    def _make(
        self,
        model: ModelSpec,
        dtype: str | None,
        build: Callable[[Loaded], Round],
        *,
        cut_long_prompts: bool = False,
        stop: threading.Event | None = None,
        shelf: Shelf | None = None,
        previews: bool = False,
    ) -> Iterator[RoundEvent]:
        check_bool("cut_long_prompts", cut_long_prompts)
        keep = self.shelf if shelf is None else shelf
        check_writable(self.shelf.folder)  # a full disk is told before any work

        begun: list[Round] = []

        def once(emit: Callable[[RoundEvent], None], stop: threading.Event) -> None:
            with self.models.use(model, stop, dtype) as loaded:
                from pipeline_utils.engine import engine

                asked = build(loaded)
                engine.check(loaded, asked.recipes)
                if not cut_long_prompts:
                    check_words(loaded.pipe, [recipe.prompt for recipe in asked.recipes])
                    unwanted = dict.fromkeys(recipe.negative_prompt for recipe in asked.recipes)
                    check_words(loaded.pipe, list(unwanted), "negative_prompt")
                if not begun:
                    self._pace.take(getattr(stop, "visitor", ""), len(asked.recipes))
                    begun.append(asked)
                emit(Started(asked))
                round_id = asked.id

                def keeping(event: Event) -> None:
                    if isinstance(event, Finished):
                        place = asked.places[event.index]
                        line = Lineage(asked.number, place.parent, place.suffix, place.control, round_id, event.index)
                        picture = Picture.make(event.image, place.recipe, event.fingerprint, line, event.flagged)
                        event = Made(event.index, picture, keep.put(picture, self.settings.writer))
                    emit(event)

                self.make(loaded, asked.recipes, stop, previews, keeping)

        def work(emit: Callable[[RoundEvent], None], stop: threading.Event) -> None:
            if isinstance(stop, Stop):  # in line with the other events, so that the last of them stands on the page
                stop.when_set(lambda: emit(Waiting("Stopping…")))
            if not self.models.ready(model, dtype):
                emit(Waiting("Loading the model…"))
            elif others := len(self.stops.visitors() - {getattr(stop, "visitor", "")}):
                emit(Waiting(f"{others} {'visitor shares' if others == 1 else 'visitors share'} the model with you…"))
            elif MODEL.under_way:
                emit(Waiting("Other rounds share the model with this one…"))
            try:
                once(emit, stop)
            except LanesDisagree:
                once(emit, stop)

        return streamed(work, stop)
