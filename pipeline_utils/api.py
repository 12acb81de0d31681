"""The named endpoints for programs, also MCP tools where the extra is installed.

Every function checks its own arguments: a client can call it without the page.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

from gradio.context import LocalContext
from gradio.utils import get_upload_folder, is_in_or_equal

from pipeline_utils.engine.events import Refused
from pipeline_utils.engine.shares import address
from pipeline_utils.engine.stops import Stop, Stopped, Stops
from pipeline_utils.errors import InputError, ModelError
from pipeline_utils.picture.picture import Picture, Reading, read
from pipeline_utils.proof.pins import compared
from pipeline_utils.proof.replay import verify as checked
from pipeline_utils.proof.verdict import Claim
from pipeline_utils.recipe.ask import Ask
from pipeline_utils.recipe.recipe import check_bool
from pipeline_utils.recipe.rounds import MAX_GRID, Round
from pipeline_utils.studio import Made, RoundEvent, Started, Studio


def under_way(stops: Stops, kind: str) -> AbstractContextManager[Stop]:
    """A flag for work of the event that runs now: set when its visitor says stop, or its client has gone."""
    return stops.during(session(), kind, listener_gone(), where_from(LocalContext.request.get(None)))


def where_from(request: Any) -> str:
    """The network address that the event of `request` came from; "" where it is not known."""
    peer = getattr(getattr(request, "client", None), "host", None) or ""
    return address(peer, getattr(request, "headers", {}).get("x-forwarded-for", ""))


def session() -> str:
    """Gradio's name of the page or client that sent the event; "" outside of one."""
    request = LocalContext.request.get(None)
    return getattr(request, "session_hash", None) or ""


def listener_gone() -> Callable[[], bool]:
    """A function that says whether the client of the event that runs now cancelled it or closed its stream.

    The server notices a closed stream at once, for pages and programs alike, and marks the event; one that
    is cancelled it forgets. A page that was closed needs no other connection to be missed. A client who
    never opened the stream is never gone.
    """
    blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    events = blocks._queue.event_ids_to_events if blocks else {}
    event = events.get(event_id)
    return lambda: event is not None and not (event.alive and events.get(event_id) is event)


def open_picture(studio: Studio, picture: object) -> Picture:
    """The picture that an id, an uploaded PNG or a path in the upload folder stands for.

    Raises InputError or PictureError; a path elsewhere on this machine is never opened.
    """
    if isinstance(picture, str) and is_id(picture):
        return studio.shelf.read(picture)  # which refuses a file that was changed on the shelf
    reading = open_reading(studio, picture)
    if reading.picture is None:
        raise InputError("picture", "PNG", "it holds no recipe of this app, so no round can start from it")
    return reading.picture


def open_reading(studio: Studio, picture: object) -> Reading:
    """What an id, an uploaded PNG or the path of a picture that was told holds. Raises as open_picture does."""
    if isinstance(picture, dict):
        picture = picture.get("path")
    if not isinstance(picture, str) or not picture:
        raise InputError("picture", picture, "the id of a picture made here, or a PNG file")
    if is_id(picture):
        return read(studio.shelf.get(picture))
    try:
        ours = any(is_in_or_equal(picture, folder) for folder in (get_upload_folder(), studio.shelf.folder))
        ours = ours and Path(picture).is_file()
    except (OSError, ValueError):  # no name of a file at all
        ours = False
    if not ours:
        raise InputError("picture", Path(picture).name, "an uploaded PNG or the id of a picture made here")
    return read(picture)


def is_id(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{16}", text) is not None


def described(asked: Round, made: dict[int, Made], refused: dict[int, str]) -> dict[str, Any]:
    """The answer of the endpoints that make rounds, as JSON. refused: why places have no picture."""
    pictures = []
    for index, place in enumerate(asked.places):
        entry = {
            "seed": place.recipe.seed,
            "prompt": place.recipe.prompt,
            "suffix": place.suffix,
            "control": place.control,
            "parent": place.parent,
            "recipe": place.recipe.to_dict(),
            "recipe_id": place.recipe.id,
        }
        if index in refused:
            entry["refused"] = refused[index]
        else:
            picture = made[index].picture
            file = made[index].file
            address = {"path": str(file), "meta": {"_type": "gradio.FileData"}} if file.is_file() else None
            entry = {"id": picture.id, "file": address, **entry}
            entry |= {"pixel_sha256": picture.pixel_sha256, "flagged": picture.flagged}
        pictures.append(entry)
    return {"round": asked.number, "round_id": asked.id, "parent": asked.parent, "pictures": pictures}


def endpoints(studio: Studio) -> dict[str, Callable]:
    """The functions behind the named endpoints, by name."""

    def first_round(*asked: Any, **named: Any) -> dict:
        """Make one picture for each seed from one prompt. The same call gives the same pixels.

        Args:
            {fields}

        Returns:
            {"round": 1, "round_id", "pictures": [{"id", "file", "seed", "prompt", "suffix", "control", "recipe", ...}]}
            A picture that came out as numbers which are none has "refused", a sentence, and no "id" and "file".
        """
        return _finish(studio, partial(studio.first_round, Ask(*asked, **named)))

    first_round.__doc__ = first_round.__doc__.replace("{fields}", Ask.documentation())
    first_round.__signature__ = inspect.signature(Ask, eval_str=True).replace(return_annotation=dict)
    first_round.__annotations__ = get_type_hints(Ask) | {"return": dict}

    def second_round(picture: Any, suffixes: list[str], cut_long_prompts: bool = False) -> dict:
        """Make the picked picture again, then once with each style suffix, all on its seed.

        Args:
            picture: a PNG made by this app, or its id.
            suffixes: 1 to 16 texts that are added to the prompt as they stand, such as ", artsy".
            cut_long_prompts: true lets the text encoder drop the end of a prompt that is too long.

        Returns:
            As first_round; the first picture is the control, whose pixel_sha256 equals that of a pick made here.
        """
        picked = open_picture(studio, picture)
        return _finish(studio, partial(studio.second_round, picked, suffixes, cut_long_prompts=cut_long_prompts))

    def variations(
        picture: Any, seeds: str = "4 random", strength: float = 0.2, cut_long_prompts: bool = False
    ) -> dict:
        """Make the picked picture again, then pictures between its seed and others: its neighbourhood.

        Args:
            picture: a PNG made by this app, or its id.
            seeds: the second seeds, as in first_round; each gives a picture.
            strength: how far the noise is turned towards each second seed: 0 is the pick, 1 the second seed.
            cut_long_prompts: true lets the text encoder drop the end of a prompt that is too long.

        Returns:
            As first_round; the first picture is the control, whose pixel_sha256 equals that of a pick made here.
        """
        picked = open_picture(studio, picture)
        return _finish(studio, partial(studio.variations, picked, seeds, strength, cut_long_prompts=cut_long_prompts))

    def grid(pictures: list[Any], suffixes: list[str], cut_long_prompts: bool = False) -> dict:
        """Make each of several pictures again, then once with each style suffix: seeds by styles.

        Args:
            pictures: 1 to 4 PNGs made by this app, or their ids.
            suffixes: 1 to 8 texts that are added to each prompt as they stand, such as ", artsy".
            cut_long_prompts: true lets the text encoder drop the end of a prompt that is too long.

        Returns:
            As first_round, row by row; each row begins with the control of its picture, its "parent".
        """
        if not isinstance(pictures, list):
            raise InputError("pictures", pictures, "a list of PNG files or ids")
        if len(pictures) > MAX_GRID[0]:  # before any file is read
            raise InputError("pictures", f"{len(pictures)} pictures", f"a grid takes 1 to {MAX_GRID[0]}")
        picked = [open_picture(studio, picture) for picture in pictures]
        return _finish(studio, partial(studio.grid, picked, suffixes, cut_long_prompts=cut_long_prompts))

    def verify(picture: Any, allow_download: bool = False) -> dict:
        """Make a picture again from the recipe in its PNG, and compare bit for bit.

        Args:
            picture: a PNG made by this app, or its id.
            allow_download: true fetches the model from the hub where it is not here.

        Returns:
            {"identical", "l_inf", "differing_pixels", "sentence", "recipe", "fingerprint_here", ...}
        """
        check_bool("allow_download", allow_download)
        reading = open_reading(studio, picture)
        with under_way(studio.stops, "api") as stop:
            return checked(studio, Claim.of(reading), allow_download=allow_download, stop=stop).to_dict()

    def diff(picture: Any, other: Any) -> list[dict]:
        """Compare the recipes of two pictures: only the lines that differ.

        Args:
            picture: a PNG made by this app, or its id.
            other: the same of the other picture.

        Returns:
            [{"name", "one", "other"}], in the order of a recipe's fields; empty where the recipes are equal.
        """
        recipes = [open_picture(studio, each).recipe for each in (picture, other)]
        return [{"name": name, "one": one, "other": other} for name, one, other in compared(*recipes)]

    functions = (first_round, second_round, variations, grid, verify, diff)
    return {function.__name__: function for function in functions}


def _finish(studio: Studio, start: Callable[..., Iterator[RoundEvent]]) -> dict[str, Any]:
    """Plays the round that `start(stop=...)` gives to its end. Raises Stopped when its client has gone."""
    asked, made, refused = None, {}, {}
    with under_way(studio.stops, "api") as stop:
        for event in start(stop=stop):
            if isinstance(event, Started):
                asked, made, refused = event.round, {}, {}
            elif isinstance(event, Made):
                made[event.index] = event
            elif isinstance(event, Refused):
                refused[event.index] = event.reason
    if asked is None or len(made) + len(refused) < len(asked.places):
        raise Stopped
    if not made:
        raise ModelError(refused[0])
    return described(asked, made, refused)
