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
from pipeline_utils.models import runtime
from pipeline_utils.page.page import build_page, launching
from pipeline_utils.shelf.shelf import Shelf
from pipeline_utils.shelf.trash import start_sweeping
from pipeline_utils.studio import Studio

if gpu_is_lent():
    from pipeline_utils.engine import zero_gpu

    settings = zero_gpu.limited(settings)
try:
    device = runtime.start(settings)
    models = Models(settings, device)
    models.preload()  # a model that cannot be had is known before the page opens
    settings = files.settle(settings)
    shelf = Shelf(settings.data / "pictures", make=False)  # where none can be made, there is one to look at
except UserError as error:
    sys.exit(f"Second Round cannot start. {error}")

make = zero_gpu.lent(models) if gpu_is_lent() else None
studio = Studio(settings, device, models, shelf, make)
studio.shelves.warm()
start_sweeping(settings, studio.shelves)
demo = build_page(studio)

if __name__ == "__main__":
    demo.launch(**launching(settings))
