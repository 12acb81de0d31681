"""python -m pipeline_utils.bench lanes | page | speed | replays | resemblance | shelf | gpu

    python -m pipeline_utils.bench lanes                  which number formats, memory formats, lanes and threads agree
    python -m pipeline_utils.bench page                   how long a visitor waits, and what previews cost
    python -m pipeline_utils.bench speed                  how fast rounds are beside the documentation's script
    python -m pipeline_utils.bench replays --count 2000   replays in random company, orders and processes
    python -m pipeline_utils.bench resemblance            how well the number under a tile finds its own pick
    python -m pipeline_utils.bench shelf                  how quickly a shelf of 10,000 pictures opens
    python -m pipeline_utils.bench gpu                    what only a CUDA GPU can show, see gpu --help

Without a command: lanes, page, speed and shelf. All but shelf and gpu take --model (default: the bundled one).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # it advises on packages when imported
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

from pipeline_utils.program import ended, leave

GPU = """What a round promises, and how fast it is, on a machine with a CUDA GPU. Nothing is downloaded: big models
are their published architectures with random weights.

Each part takes at most 9 minutes and writes a JSON file; a part that is there is not run again. gpu-report.md and
gpu-report.json tell of all. Where a command may take 10 minutes: --minutes 9, until no part is left.

A machine without a package index brings its own torch. What else is needed travels as wheels:
    make wheels WHEELS=wheels    where there is an index: fills the folder for Python 3.12 on Linux
    make gpu WHEELS=wheels       there: installs the folder beside what the machine's Python has, and runs the parts
"""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pipeline_utils.bench", description="Measure determinism and speed")
    commands = parser.add_subparsers(dest="command", title="commands (default: lanes, page, speed, shelf)")
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument("--model", default=os.environ.get("MODEL") or "emoji-sd", help="catalog entry, folder or file")
    shared = argparse.ArgumentParser(add_help=False, parents=[named])
    shared.add_argument("--steps", type=int, default=4, help="denoising steps of each picture (default: 4)")
    lanes = commands.add_parser("lanes", parents=[shared], help="a table of what agrees in bits, and how fast it is")
    lanes.add_argument("--pictures", type=int, default=8, help="seeds compared (default: 8)")
    page = commands.add_parser("page", parents=[named], help="how long a visitor waits, and what previews cost")
    page.add_argument("--repeats", type=int, default=7, help="rounds with and without previews (default: 7)")
    page.add_argument("--starts", type=int, default=5, help="starts compared with a Gradio hello world (default: 5)")
    speed = commands.add_parser("speed", parents=[named], help="rounds beside the documentation's script, and company")
    speed.add_argument("--repeats", type=int, default=9, help="turns, whose medians are told (default: 9)")
    speed.add_argument("--busy", action="store_true", help="beside a neighbour that keeps one core busy")
    most = "seconds at most that the app has first to try sizes of calls, as while nobody comes (default: 600)"
    speed.add_argument("--settle", type=float, default=600, help=most)
    crowd = commands.add_parser("crowd", parents=[shared], help="many visitors at once, over HTTP")
    crowd.add_argument("--visitors", type=int, nargs="+", default=[1, 8, 32], help="crowds (default: 1 8 32)")
    crowd.add_argument("--rounds", type=int, default=10, help="of each visitor (default: 10)")
    replays = commands.add_parser("replays", parents=[shared], help="count differing pixels of many replays")
    replays.add_argument("--count", type=int, default=100, help="pictures made again (default: 100)")
    replays.add_argument("--processes", type=int, default=8, help="how often to start anew (default: 8)")
    replays.add_argument("--seed", type=int, default=0, help="of the random plan (default: 0)")
    alike = commands.add_parser("resemblance", parents=[named], help="how well a picture's own pick is found by it")
    alike.add_argument("--steps", type=int, help="denoising steps of each picture (default: the model's own)")
    alike.add_argument("--prompts", type=int, default=8, help="first rounds made (default: 8)")
    shelf = commands.add_parser("shelf", help="what a visitor with many pictures waits for")
    shelf.add_argument("--pictures", type=int, default=10_000, help="on the shelf (default: 10000)")
    gpu = commands.add_parser(
        "gpu", help="what only a CUDA GPU can show", description=GPU, formatter_class=argparse.RawTextHelpFormatter
    )
    gpu.add_argument("--rehearse", action="store_true", help="every part on the CPU at toy size; needs no GPU")
    gpu.add_argument(
        "--parts", nargs="+", default=[], metavar="NAME", help="such as 'first-*' speed-sd15; all if left out"
    )
    gpu.add_argument(
        "--minutes", type=float, default=0, help="end this call after as many; the next goes on (0: never)"
    )
    gpu.add_argument("--out", type=Path, help="folder of the results (default: gpu-report, gpu-report/rehearsal)")
    given = list(sys.argv[1:] if argv is None else argv)
    if not given:
        return main(["lanes"]) or main(["page"]) or main(["speed"]) or main(["shelf"])
    arguments = parser.parse_args(given)
    return ended("bench", lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    if arguments.command == "shelf":
        from pipeline_utils.bench.shelf import report as shelf_report

        shelf_report(arguments.pictures)
        return 0
    if arguments.command == "gpu":
        from pipeline_utils.bench.gpu.run import run

        return run(arguments.out, arguments.parts, arguments.minutes, arguments.rehearse)
    if arguments.command == "lanes":
        from pipeline_utils.bench.lanes import table

        table(arguments.model, arguments.steps, arguments.pictures)
        return 0
    if arguments.command == "page":
        from pipeline_utils.bench.page import measure

        measure(arguments.model, arguments.repeats, arguments.starts)
        return 0
    if arguments.command == "speed":
        from pipeline_utils.bench.speed import measure as compare

        return compare(arguments.model, arguments.repeats, arguments.busy, arguments.settle)
    if arguments.command == "crowd":
        from pipeline_utils.bench.crowd import measure as measure_crowd

        return measure_crowd(arguments.model, arguments.visitors, arguments.rounds)
    if arguments.command == "resemblance":
        from pipeline_utils.bench.resemblance import report

        report(arguments.model, arguments.steps, arguments.prompts)
        return 0
    from pipeline_utils.bench.replays import count

    return count(arguments.model, arguments.steps, arguments.count, arguments.processes, arguments.seed)


if __name__ == "__main__":
    leave(main)
