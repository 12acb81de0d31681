"""The Shelf tab: every picture that is kept, to be found, starred, packed, deleted and brought back."""

from __future__ import annotations

import re
from collections.abc import Callable

import gradio as gr

from pipeline_utils.errors import CapacityError, InputError
from pipeline_utils.page.events import HERE, Page
from pipeline_utils.page.rounds.panels import Changes
from pipeline_utils.page.shelf import html
from pipeline_utils.page.visitor.pictures import MOST, QUICK, Pictures, shown
from pipeline_utils.page.visitor.visit import Visit
from pipeline_utils.page.visitor.visits import sent
from pipeline_utils.recipe.recipe import MAX_SEED, check_text
from pipeline_utils.shelf.copies import Thumbs, place_for, zip_pictures
from pipeline_utils.shelf.index import Card
from pipeline_utils.shelf.owners import Album
from pipeline_utils.shelf.trash import Trash

MAX_SELECTED = 1_000  # pictures that one click deletes or packs
MAX_ZIP = 2 * 2**30  # bytes
_RANGE = re.compile(r"([0-9]{1,10})(?:\s*-\s*([0-9]{1,10}))?")
_EVENTS = "'choose', 'star', 'remove', 'restore', 'empty', 'pack', 'more'"


def build(page: Page, tab: gr.Tab) -> None:
    """The parts and events of the tab; called inside it."""
    handlers = ShelfHandlers(page.player)
    with gr.Row(elem_id="shelf-filters"):
        words = gr.Textbox(label="Words in the prompt", lines=1, max_lines=1, min_width=0, scale=3)
        model = gr.Dropdown(
            label="Model", choices=[("All models", "")], value="", allow_custom_value=True, min_width=0, scale=3
        )
        seed = gr.Textbox(label="Seed", placeholder="7 or 0-3", lines=1, max_lines=1, min_width=0, scale=2)
        starred = gr.Checkbox(label="Only starred", min_width=0, scale=1, elem_id="shelf-starred")
    shelf = gr.HTML(js_on_load=f"secondRound.shelf(element, trigger, watch, {_EVENTS})", elem_id="shelf")
    limit, file = gr.Number(html.PAGE, precision=0, visible=False), gr.File(elem_id="shelf-file", container=False)
    parts = {"shelf": shelf, "shelf_limit": limit, "shelf_model": model, "tabs": page.tabs}
    looked = shown(page)
    filters = [page.here, words, model, seed, starred]
    asked = [*filters, limit]

    tab.select(page.event(handlers.show_shelf, **parts), asked, [shelf, model], api_name="page_shelf", **QUICK)
    gr.on(
        [words.change, model.change, seed.change, starred.change],
        page.event(handlers.filter_shelf, **parts),
        filters,
        [shelf, model, limit],
        trigger_mode="always_last",
        api_name="page_shelf_filter",
        **QUICK,
    )
    more, choose = page.event(handlers.more_shelf, **parts), page.event(handlers.choose, **parts)
    shelf.more(more, asked, [shelf, model, limit], api_name="page_shelf_more", **QUICK)
    shelf.choose(choose, [page.here], [*looked, page.tabs], api_name="page_shelf_choose", **QUICK)
    shelf.star(page.event(handlers.star), [page.here], None, api_name="page_shelf_star", **QUICK)
    changing = ((shelf.remove, handlers.remove), (shelf.restore, handlers.restore), (shelf.empty, handlers.empty))
    for event, function in changing:
        name = f"page_shelf_{function.__name__}"
        event(page.event(function, **parts), asked, [shelf, model, *looked], api_name=name, **QUICK)
    packing = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": 2, "js": HERE}
    shelf.pack(
        page.event(handlers.pack), [page.here], file, api_name="page_shelf_pack", concurrency_id="files", **packing
    ).success(None, file, js="(file) => secondRound.save(file)", api_visibility="private")


class ShelfHandlers(Pictures):
    """The events of the tab. Thread-safe: all state is in the visit and in the fields of its page.

    words, model, seed, starred are the filters, limit the number of pictures shown.
    """

    def show_shelf(self, visit: Visit, words: str, model: str, seed: str, starred: bool, limit: int) -> Changes:
        """The pictures that match, as they are now."""
        return self._shown(visit, (words, model, seed, starred), limit)

    def filter_shelf(self, visit: Visit, words: str, model: str, seed: str, starred: bool) -> Changes:
        """As show_shelf, from the newest on."""
        return self._shown(visit, (words, model, seed, starred), html.PAGE) | {"shelf_limit": html.PAGE}

    def more_shelf(self, visit: Visit, words: str, model: str, seed: str, starred: bool, limit: int) -> Changes:
        limit = min(limit + html.PAGE, MOST)
        return self._shown(visit, (words, model, seed, starred), limit) | {"shelf_limit": limit}

    def star(self, visit: Visit, event: gr.EventData) -> None:
        """Gives a star to a picture or takes it. The page shows it already."""
        album = visit.album(self.studio.shelves)
        album.stars.set(album.card(sent(event, "id")).id, sent(event, "on") is True)

    def remove(
        self,
        visit: Visit,
        words: str,
        model: str,
        seed: str,
        starred: bool,
        limit: int,
        event: gr.EventData,
        request: gr.Request,
    ) -> Changes:
        """Deletes the selected pictures, for a day with the way back."""
        album = visit.album(self.studio.shelves)
        cards = self._selected(album, event)
        Trash(album.shelf).take([card.file for card in cards])
        visit.forget({card.id for card in cards})
        return self._shown(visit, (words, model, seed, starred), limit) | self.looked(visit, request)

    def restore(
        self,
        visit: Visit,
        words: str,
        model: str,
        seed: str,
        starred: bool,
        limit: int,
        event: gr.EventData,
        request: gr.Request,
    ) -> Changes:
        """Puts the pictures of one deletion back."""
        count = Trash(visit.shelf(self.studio.shelves)).give_back(sent(event, "deletion"))
        note = html.note("1 picture is back." if count == 1 else f"{count} pictures are back.")
        open = sent(event, "open") is True
        return self._shown(visit, (words, model, seed, starred), limit, note, open) | self.looked(visit, request)

    def empty(self, visit: Visit, words: str, model: str, seed: str, starred: bool, limit: int) -> Changes:
        """Deletes what is in the trash for good."""
        freed = Trash(visit.shelf(self.studio.shelves)).empty()
        note = html.note(f"The trash is empty; {freed / 2**20:.1f} MB are free again.")
        return self._shown(visit, (words, model, seed, starred), limit, note)

    def pack(self, visit: Visit, event: gr.EventData) -> str:
        """A zip of the selected pictures."""
        album = visit.album(self.studio.shelves)
        cards = self._selected(album, event)
        paths = [album.shelf.folder / card.file for card in cards]
        size = sum(path.stat().st_size for path in paths if path.is_file())
        if size > MAX_ZIP:
            raise CapacityError(
                f"These pictures are {size / 2**30:.1f} GB, and a zip holds {MAX_ZIP // 2**30} GB: select fewer."
            )
        file = place_for(self.studio.settings.cache, [card.id for card in cards], f"{len(cards)}-pictures.zip")
        zip_pictures(paths, file)
        return str(file)

    def _selected(self, album: Album, event: gr.EventData) -> list[Card]:
        ids = sent(event, "ids")
        if not isinstance(ids, list) or not 1 <= len(ids) <= MAX_SELECTED:
            count = len(ids) if isinstance(ids, list) else 0
            raise InputError("selection", f"{count} pictures", f"1 to {MAX_SELECTED} can be selected at once")
        return list({card.id: card for card in map(album.card, ids)}.values())

    def _shown(
        self, visit: Visit, asked: tuple[str, str, str, bool], limit: int, note: str = "", open: bool = False
    ) -> Changes:
        album = visit.album(self.studio.shelves)
        deletions = Trash(album.shelf).deletions()  # what was deleted long ago goes when somebody looks
        cards, starred = album.newest_first(), album.stars.ids()
        try:
            matches = matching(*asked, starred)
        except InputError as error:
            found, note = [], note + html.note(str(error))
        else:
            found = [card for card in cards if matches(card)]
        if deletions:  # the way back stays in sight
            note += html.deleted(deletions[0])
        pick = visit.pick.id if visit.pick else None
        below = html.trash(deletions, open)
        drawn = html.shelf(found, len(cards), Thumbs(album.shelf), starred, pick, limit, note, below)
        models = sorted({card.model for card in cards})
        return {"shelf": drawn, "shelf_model": gr.update(choices=[("All models", ""), *((m, m) for m in models)])}


def matching(words: object, model: object, seed: object, starred: object, stars: set[str]) -> Callable[[Card], bool]:
    """Does a card match? Every word must be in the prompt, in any case. Raises InputError for what is no seed."""
    check_text("words", words or "")
    wanted = (words or "").casefold().split()
    ranges = _seeds(seed or "")

    def matches(card: Card) -> bool:
        return (
            (not model or card.model == model)
            and (starred is not True or card.id in stars)
            and (not ranges or any(low <= card.seed <= high for low, high in ranges))
            and (not wanted or all(word in card.prompt.casefold() for word in wanted))
        )

    return matches


def _seeds(text: object) -> list[tuple[int, int]]:
    """ "7, 40-50" as ranges, both ends included."""
    check_text("seed", text, 200)
    ranges = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise InputError("seed", part, f'whole numbers from 0 to {MAX_SEED}, such as "7" or "0-3, 42"')
        ranges.append((int(match[1]), int(match[2] or match[1])))
    return ranges
