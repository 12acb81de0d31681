"""What can be copied at the pick, and what the page says when a link opened it."""

from __future__ import annotations

from html import escape


def share(query: str, recipe: str, script: str | None) -> str:
    """Buttons that copy a link, the recipe, and the script. The page puts its own address before `query`."""
    texts = [("Copy link", "link", query), ("Copy recipe", "text", recipe)]
    if script is not None:
        texts.append(("Copy as Python", "text", script))
    buttons = "".join(
        f'<button type="button" data-copy="{kind}" data-text="{escape(text)}">{label}</button>'
        for label, kind, text in texts
    )
    return f'<div class="share">{buttons}<p class="visually-hidden" role="status"></p></div>'


def opened(model: str | None, here: str, choose: bool, variation: tuple[int, float] | None) -> str:
    """Above the form. model: the link's, where it is not the one called `here`; choose: whether it may be chosen.

    variation: the second seed of the link's picture, and how far it was turned towards it.
    """
    lines = ["Filled in from a link. Nothing has run yet."]
    if model is not None and choose:
        lines.append(
            f"It was made with <b>{escape(model)}</b>, not {escape(here)}: choose that model under Model, and its "
            "settings follow."
        )
    elif model is not None:
        lines.append(
            f"It was made with <b>{escape(model)}</b>. This host runs {escape(here)}, which makes other pictures."
        )
    if variation is not None:
        lines.append(
            f"Its picture is a variation towards seed {variation[0]}, strength {variation[1]:g}: make the picture, "
            "pick it, then make its variation."
        )
    return "".join(f'<p class="quiet">{line}</p>' for line in lines)
