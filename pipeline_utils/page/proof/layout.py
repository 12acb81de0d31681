"""The Proof tab: the documentation's experiments, each with a button and a live result."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from html import escape
from typing import Any

import gradio as gr

from pipeline_utils.api import session, under_way
from pipeline_utils.engine.memory import gpu_is_lent
from pipeline_utils.engine.stops import streamed
from pipeline_utils.page.events import Page
from pipeline_utils.proof.experiment import Experiment, Result, run
from pipeline_utils.proof.experiments import EXPERIMENTS
from pipeline_utils.proof.shared_model import SharedModel
from pipeline_utils.studio import Studio

INTRO = """
<h2>Try what the documentation says</h2>
<p class="quiet">Each row makes one statement of the diffusers documentation on reproducible pipelines and
deterministic batch generation, and tries it out on the model that is loaded. Others share it with you meanwhile.</p>
"""

_WORDS = {True: ("green", "As said."), False: ("red", "Not as said."), None: ("none", "Not available here.")}


def build(page: Page, tab: gr.Tab) -> None:
    """The parts and events of the tab; called inside it."""
    studio = page.player.studio
    gr.HTML(INTRO, elem_id="proof-intro")
    with gr.Row(elem_id="proof-go"):
        every = gr.Button("Run all", variant="primary", elem_id="proof-run-all", min_width=0, scale=0)
        end = gr.Button("Stop all", elem_id="proof-stop", min_width=0, scale=0)
    state = gr.HTML(elem_id="proof-state")
    rows: dict[str, gr.HTML] = {}
    buttons: dict[str, gr.Button] = {}
    with gr.Column(elem_classes="experiments"):
        for experiment in EXPERIMENTS:
            with gr.Row(elem_classes="experiment", elem_id=f"proof-{experiment.id}"):
                rows[experiment.id] = gr.HTML(row(experiment), min_height=0)
                buttons[experiment.id] = gr.Button("Run", size="sm", min_width=0, scale=0)
    options: dict[str, Any] = {
        "show_progress": "hidden",
        "api_visibility": "private",
        "concurrency_limit": 16,
        "concurrency_id": "rounds",
        "trigger_mode": "once",
    }

    def handler(plan: Sequence[Experiment]) -> Callable[[], Iterator[dict]]:
        def run_experiments() -> Iterator[dict]:
            """Runs experiments of the proof page one after the other."""
            with under_way(studio.stops, "proof") as stop:
                for experiment, found, summary in _told(studio, plan, stop):
                    yield {rows[experiment.id]: row(experiment, found), state: summary}

        return run_experiments

    def end_experiments() -> None:
        """Ends the experiments of this visitor, within a denoising step."""
        studio.stops.stop(session(), "proof")

    for experiment in EXPERIMENTS:
        name = "page_proof_" + experiment.id.replace("-", "_")
        outputs = [rows[experiment.id], state]
        buttons[experiment.id].click(handler([experiment]), None, outputs, api_name=name, **options)
    every.click(handler(EXPERIMENTS), None, [*rows.values(), state], api_name="page_proof_all", **options)
    # Past the queue: a full house must not keep anyone from stopping.
    end.click(end_experiments, api_name="page_proof_stop", queue=False, api_visibility="private")


def _told(
    studio: Studio, plan: Sequence[Experiment], stop: threading.Event
) -> Iterator[tuple[Experiment, Result | str, str]]:
    """(experiment, its result or what it does meanwhile, the line above the rows)."""

    def work(emit: Callable, stop: threading.Event) -> None:
        with studio.models.use(studio.models.current, stop) as loaded:
            for event in run(plan, SharedModel(loaded, stop)):
                emit((*event, loaded))

    if gpu_is_lent():
        for experiment in plan:
            yield experiment, Result(None, "This host lends its GPU for rounds only."), ""
        return
    done: list[bool | None] = []
    under_way: tuple[Experiment, str] | None = None
    with closing(streamed(work, stop)) as events:
        for experiment, result, loaded in events:
            if result is not None:
                done.append(result.ok)
            place = f"{escape(loaded.spec.title)}, {loaded.dtype}, on the {loaded.device.type.upper()}"
            line = summary(done, len(plan), place)
            under_way = None if result else (experiment, line)
            yield experiment, result or "Running…", line
    if under_way:  # it was stopped
        yield under_way[0], "Stopped.", under_way[1]


def summary(done: Sequence[bool | None], planned: int, place: str) -> str:
    """place: what it runs on, as HTML."""
    counts = f"{done.count(True)} as said, {done.count(False)} not, {done.count(None)} not available here"
    left = f" · {planned - len(done)} to go" if len(done) < planned else ""
    return f'<p class="quiet" role="status">{place}: {counts}{left}</p>'


def row(experiment: Experiment, found: Result | str = "") -> str:
    """found: a result, or what is said while there is none."""
    if isinstance(found, Result):
        kind, words = _WORDS[found.ok]
        judged = "" if found.text.startswith(words.rstrip(".")) else f"<b>{words}</b>"
        said = f'<p class="result {kind}">{judged}{escape(found.text)}</p>'
    else:
        said = f'<p class="result running">{escape(found)}</p>' if found else ""
    return (
        f"<h3>{escape(experiment.title)}</h3><p>{escape(experiment.statement)}</p>"
        f"<pre>{escape(experiment.code)}</pre>{said}"
    )
