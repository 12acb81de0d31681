"""The looks of the page: warm paper by day, a darkroom by night, one grease-pencil red for the pick."""

from __future__ import annotations

from pathlib import Path

from gradio.themes import Base, Color, sizes
from gradio.themes.utils.fonts import LocalFont

_HERE = Path(__file__).resolve().parent

PENCIL = Color(
    name="pencil",
    c50="#fdf3f0",
    c100="#fbe3dc",
    c200="#f6c5b8",
    c300="#f2a58f",
    c400="#f08468",
    c500="#d8512f",
    c600="#bb3d1e",
    c700="#9c3117",
    c800="#7e2a17",
    c900="#652615",
    c950="#3a130a",
)
PAPER = Color(
    name="paper",
    c50="#faf8f4",
    c100="#f3f0ea",
    c200="#e5e0d7",
    c300="#cfc8bc",
    c400="#a39b8e",
    c500="#736c61",
    c600="#5a544b",
    c700="#403c36",
    c800="#2a2724",
    c900="#1d1b19",
    c950="#141312",
)


def theme() -> Base:
    return Base(
        primary_hue=PENCIL,
        secondary_hue=PENCIL,
        neutral_hue=PAPER,
        radius_size=sizes.radius_md,
        spacing_size=sizes.spacing_md,
        text_size=sizes.text_md,
        font=(LocalFont("IBM Plex Sans", weights=(400, 700)), "ui-sans-serif", "system-ui", "sans-serif"),
        font_mono=(LocalFont("IBM Plex Mono", weights=(400, 700)), "ui-monospace", "Menlo", "monospace"),
    ).set(
        body_background_fill="*neutral_100",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_900",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        background_fill_primary="#fffdfa",
        background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_50",
        background_fill_secondary_dark="*neutral_800",
        border_color_primary="*neutral_200",
        border_color_primary_dark="#37332f",
        border_color_accent="*primary_600",
        border_color_accent_dark="*primary_400",
        color_accent="*primary_600",
        color_accent_soft="*primary_50",
        color_accent_soft_dark="#3a201a",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_border_width_dark="0px",
        block_padding="0px",
        block_shadow="none",
        block_shadow_dark="none",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_300",
        block_title_text_size="*text_sm",
        block_title_text_weight="600",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        panel_background_fill="transparent",
        panel_background_fill_dark="transparent",
        panel_border_width="0px",
        form_gap_width="0px",
        input_background_fill="#ffffff",
        input_background_fill_dark="#201e1c",
        input_border_color="*neutral_300",
        input_border_color_dark="#4a453f",
        input_border_color_focus="*primary_600",
        input_border_color_focus_dark="*primary_400",
        input_border_width="1px",
        input_shadow="none",
        input_shadow_focus="0 0 0 2px #bb3d1e40",
        input_shadow_focus_dark="0 0 0 2px #f0846866",
        input_placeholder_color="#7d766b",
        input_placeholder_color_dark="#8f887c",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="#c94a2a",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
        button_secondary_background_fill="#fffdfa",
        button_secondary_background_fill_dark="#24211f",
        button_secondary_background_fill_hover="*neutral_50",
        button_secondary_background_fill_hover_dark="#2f2b28",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="#4a453f",
        button_secondary_text_color="*neutral_900",
        button_secondary_text_color_dark="*neutral_100",
        button_border_width="1px",
        button_primary_border_color="transparent",
        button_primary_border_color_dark="transparent",
        button_large_radius="*radius_md",
        button_small_radius="*radius_md",
        button_primary_shadow="none",
        button_primary_shadow_hover="none",
        button_primary_shadow_active="none",
        button_secondary_shadow="none",
        button_secondary_shadow_hover="none",
        button_secondary_shadow_active="none",
        button_large_text_weight="600",
        button_large_padding="11px 18px",
        button_transform_hover="none",
        button_transform_active="none",
        checkbox_background_color="#ffffff",
        checkbox_background_color_dark="#201e1c",
        checkbox_border_color="*neutral_400",
        checkbox_border_color_dark="#6b645a",
        checkbox_label_background_fill="transparent",
        checkbox_label_background_fill_dark="transparent",
        checkbox_label_background_fill_hover="transparent",
        checkbox_label_background_fill_hover_dark="transparent",
        checkbox_label_border_width="0px",
    )


def _joined(kind: str) -> str:
    """The page's own file of a kind, then those of its parts, which so come and go with their folders."""
    files = [_HERE / f"page.{kind}", *sorted(_HERE.glob(f"*/*.{kind}"))]
    return "\n".join(file.read_text("utf-8") for file in files)


CSS, SCRIPT = _joined("css"), _joined("js")
ICON = _HERE / "icon.svg"
