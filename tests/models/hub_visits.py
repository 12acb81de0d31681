"""python -m tests.models.hub_visits WHAT ARGUMENTS: what WHAT, a function below, found at a hub; prints it as JSON.

In a process of its own, since the hub's library reads its endpoint and its folders when it is imported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from pipeline_utils.errors import UserError
from pipeline_utils.models import runtime
from pipeline_utils.models.sources import resolve
from pipeline_utils.picture.picture import read
from pipeline_utils.proof.replay import verify
from pipeline_utils.recipe.ask import Ask
from pipeline_utils.settings import Settings
from pipeline_utils.studio import Made, Studio
from tests.making import made, studio
from tests.running import ROOT


def visit(what: Callable[..., dict], home: Path, *arguments: object, **environment: str) -> dict:
    """What `what` finds, with `home` as the hub library's folder."""
    own = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1"}
    process = subprocess.run(
        [sys.executable, "-m", __name__, what.__name__, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **own, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return json.loads(process.stdout.splitlines()[-1])


def told(call: Callable[[], object]) -> object:
    try:
        return call()
    except UserError as error:
        return f"{type(error).__name__}: {error}"


def load(*names: str) -> dict:
    """Loads the model of each name."""
    settings = Settings(device="cpu")
    device = runtime.start(settings)

    def found(name: str) -> list:
        before = runtime.is_downloaded(resolve(name))
        loaded = runtime.load(resolve(name), settings, device)
        spec = loaded.spec
        return [spec.name, loaded.revision, spec.family, spec.width, before, runtime.is_downloaded(spec)]

    return {name: told(lambda name=name: found(name)) for name in names}


def start(shelf: str, **settings: object) -> Studio:
    """A start of the app, with nothing in memory."""
    return studio("someone/tiny", Path(shelf), **settings)


def asked(repos: str) -> list[str]:
    """What the hub was asked for since it was last looked at."""
    log = Path(repos) / "asked.txt"
    lines = log.read_text().splitlines()
    log.write_text("")
    return lines


def first(here: Studio, seeds: str = "0-1", model: str | None = None) -> list[Made]:
    return made(here.first_round(Ask("a cat", seeds, num_inference_steps=2, model=model)))


def pixels(events: object) -> list[tuple[str, str]]:
    """(revision, hash of the pixels) of every picture."""
    return [(event.picture.recipe.revision, event.picture.pixel_sha256) for event in made(events)]


def before_and_after_commits(repos: str, shelf: str, old: str) -> dict:
    """A picture, kept as `old`; a commit of the model card; a commit of the weights. A start of the app at each."""
    found: dict = {}
    main = Path(repos) / "someone" / "tiny.main"
    before = start(shelf)
    pictures = first(before)
    found["made at"] = pictures[0].picture.recipe.revision
    Path(old).write_bytes(before.shelf.get(pictures[0].picture.id).read_bytes())
    pick = read(Path(old)).picture
    found["pick"] = pick.pixel_sha256

    main.write_text("b" * 40)
    here = start(shelf)
    new = first(here)
    found["new"] = pixels(new)[0]
    loaded = here.models.in_memory()
    verdict = verify(here, read(Path(old)))
    found["verified after a model card"] = [verdict.identical, verdict.sentence]
    found["second round after a model card"] = pixels(here.second_round(pick, [", red"]))
    found["grid of both"] = pixels(here.grid([pick, new[1].picture], [", red"]))
    found["still the one in memory"] = here.models.in_memory() is loaded

    main.write_text("c" * 40)
    here = start(shelf)
    other = first(here)
    found["other"] = pixels(other)[0]
    asked(repos)
    verdict = verify(here, read(Path(old)))
    found["verified after new weights"] = [verdict.identical, verdict.sentence]
    found["second round after new weights"] = pixels(here.second_round(pick, [", red"]))
    found["grid of two"] = told(lambda: here.grid([pick, other[0].picture], [", red"]))
    found["asked for what is here"] = asked(repos)
    found["the name means the newest"] = first(here, model="someone/tiny")[0].picture.recipe.revision
    found["the name and a commit"] = pixels(first(here, "0", "someone/tiny@" + pick.recipe.revision))
    return found


def without_leave(repos: str, shelf: str, old: str, switching: str = "auto") -> dict:
    """What is done with a picture of a revision that is not here."""
    return _without_leave(start(shelf, switching=switching), repos, old)


def _without_leave(here: Studio, repos: str, old: str) -> dict:
    found: dict = {"here": first(here)[0].picture.recipe.revision}
    asked(repos)
    verdict = verify(here, read(Path(old)))
    found["verified"] = [verdict.needs_download, verdict.replayed, verdict.sentence]
    found["second round"] = told(lambda: here.second_round(read(Path(old)).picture, [", red"]))
    found["asked without leave"] = asked(repos)
    return found


def without_and_with_leave(repos: str, shelf: str, old: str) -> dict:
    here = start(shelf)
    found = _without_leave(here, repos, old)
    found["a commit that is none"] = told(lambda: first(here, model="someone/tiny@" + "d" * 40))
    asked(repos)
    verdict = verify(here, read(Path(old)), allow_download=True)
    found["with leave"] = [verdict.identical, verdict.sentence]
    found["weights fetched"] = [
        line for line in asked(repos) if line.startswith("GET") and line.endswith(".safetensors")
    ]
    found["now"] = told(lambda: pixels(here.second_round(read(Path(old)).picture, [", red"])))
    return found


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
