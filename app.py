"""Second Round: settings, engine, page, launch. `demo` is what Spaces look for."""

import contextlib
import os
import sys

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # it advises on packages when imported

from pipeline_utils import files
from pipeline_utils.settings import parse

settings = parse(sys.argv[1:] if __name__ == "__main__" else [], os.environ)
os.environ["GRADIO_TEMP_DIR"] = str(files.uploads(settings))
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(settings.cache / "torch"))  # torch would take the system's /tmp

with contextlib.suppress(ImportError):
    import spaces  # noqa: F401  ZeroGPU: before anything touches CUDA

from pipeline_utils.engine.memory import gpu_is_lent
from pipeline_utils.engine.pool import Models
from pipeline_utils.errors import UserError
from pipeline_utils.page.page import build_page, serve
from pipeline_utils.shelf.shelf import Shelf
from pipeline_utils.shelf.trash import start_sweeping
from pipeline_utils.studio import Studio


@contextlib.contextmanager
def starting():
    try:
        yield
    except UserError as error:
        sys.exit(f"Second Round cannot start. {error}")


with starting():
    if gpu_is_lent():
        from pipeline_utils.engine import zero_gpu

        settings = zero_gpu.limited(settings)
    models = Models(settings)
    if gpu_is_lent() or __name__ != "__main__":
        models.preload()  # before the page, which is served by others then, or by a GPU that is lent afterwards
    settings = files.settle(settings)
    shelf = Shelf(settings.data / "pictures", make=False)  # where none can be made, there is one to look at

studio = Studio(settings, models, shelf, zero_gpu.lent(models) if gpu_is_lent() else None)
studio.shelves.warm()
start_sweeping(settings, studio.shelves)
demo = build_page(studio)

if __name__ == "__main__":
    with starting():
        serve(demo, settings)
    studio.visited.wait(1.5)  # while torch is imported, the files of a page come half as fast
    with starting():
        models.preload()  # behind the open page: who asks for pictures meanwhile waits for it
    demo.block_thread()
