"""Runs the parts, each in a process of its own, and writes what they found.

A part's result is a JSON file in the output folder. A part that is there is not run again: a call that was cut
off goes on with the next, and removing a file asks for its part again.
"""

from __future__ import annotations

import fnmatch
import json
import multiprocessing
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pipeline_utils.bench.gpu.parts import AGAIN, PARTS
from pipeline_utils.bench.gpu.work import Row, Work, said
from pipeline_utils.errors import InputError, UserError
from pipeline_utils.models.runtime import fingerprint

PART_MINUTES = 9.0
FOLDER, TOY_FOLDER = Path("gpu-report"), Path("gpu-report/rehearsal")
_LEFT = ".left"  # of a part that has not ended


def run(out: Path | None, patterns: Sequence[str], minutes: float, toy: bool) -> int:
    """Runs the parts that `out` does not hold yet and writes gpu-report.md and gpu-report.json there.

    patterns: names of parts, with * for any letters; none for all. minutes: after which the call ends, 0 for
    never; a part that was under way is run again by the next call. 0 when every part is there and none failed,
    else 1. Raises UserError without a CUDA GPU, unless `toy`, and InputError for a name that is no part's.
    """
    if not toy and not torch.cuda.is_available():
        raise UserError("PyTorch finds no CUDA GPU here; --rehearse runs every part on the CPU at toy size.")
    wanted = [name for name in PARTS if not patterns or any(fnmatch.fnmatchcase(name, each) for each in patterns)]
    for each in patterns:
        if not fnmatch.filter(PARTS, each):
            raise InputError("parts", each, "one of " + ", ".join(PARTS))
    if toy:  # on a CPU all are computed in float32
        wanted = [name for name in wanted if "float16" not in name]
    out = out or (TOY_FOLDER if toy else FOLDER)
    out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * minutes if minutes else float("inf")
    # Each process begins as a copy of one that has imported everything and touched no GPU.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    for name in wanted:
        if _read(out, name, toy) or time.monotonic() >= end:
            continue
        print(f"{name} ...", end=" ", flush=True)
        start = time.monotonic()
        process = processes.Process(target=_work, args=(name, out, toy))
        process.start()
        process.join(min(60 * PART_MINUTES, max(0.0, end - start)))
        if process.is_alive():
            process.kill()
            process.join()
            if time.monotonic() - start < 60 * PART_MINUTES:
                print("no time left", flush=True)
                continue
            _fail(out, name, toy, f"took more than {PART_MINUTES:g} minutes")
        elif process.exitcode:
            _fail(out, name, toy, f"its process ended with code {process.exitcode}")
        print(f"{time.monotonic() - start:.0f} s: {_state(_read(out, name, toy))}", flush=True)
    found = {name: result for name in PARTS if (result := _read(out, name, toy))}
    write(out, found)
    left = [name for name in wanted if name not in found]
    if left:
        print(f"{len(left)} parts are left: run the same command again.")
    return 1 if left or any(_state(result) != "passed" for result in found.values()) else 0


def _work(name: str, out: Path, toy: bool) -> None:
    """The process of one part. What it has found so far is in its file all the time."""
    start, rows = time.monotonic(), []
    result: dict[str, Any] = {"rehearsal": toy, "rows": rows}
    try:
        result["machine"] = fingerprint(Work(toy).start())
        for row in PARTS[name](Work(toy)):
            rows.append(row)
            _write(out / (name + _LEFT), result)
    except Exception as error:
        result["error"] = said(error)
    result["seconds"] = round(time.monotonic() - start, 1)
    _write(out / f"{name}.json", result)
    (out / (name + _LEFT)).unlink(missing_ok=True)


def _fail(out: Path, name: str, toy: bool, reason: str) -> None:
    """Keeps the rows of a part that did not end by itself."""
    left = out / (name + _LEFT)
    result = json.loads(left.read_text()) if left.exists() else {"rehearsal": toy, "rows": []}
    _write(out / f"{name}.json", result | {"error": reason})
    left.unlink(missing_ok=True)


def _write(file: Path, value: Any) -> None:
    new = file.with_name(file.name + ".new")
    new.write_text(json.dumps(value, indent=1) + "\n")
    new.replace(file)


def _read(out: Path, name: str, toy: bool) -> dict[str, Any] | None:
    """The result of a part, None where there is none of this kind: a rehearsal's is no result."""
    file = out / f"{name}.json"
    result = json.loads(file.read_text()) if file.exists() else None
    return result if result and result["rehearsal"] == toy else None


def _state(result: dict[str, Any]) -> str:
    if "error" in result:
        return "failed: " + result["error"]
    if not all(row.get("passed", True) for row in result["rows"]):
        return "NOT as promised"
    return "not everything ran" if any("outcome" in row and "passed" not in row for row in result["rows"]) else "passed"


def write(out: Path, found: dict[str, dict[str, Any]]) -> None:
    """gpu-report.json, every result by part, and gpu-report.md, the same for people."""
    processes = _processes(found)
    _write(out / "gpu-report.json", {"parts": found, "process to process": processes})
    machine = next((result["machine"] for result in found.values() if "machine" in result), {})
    lines = ["# What a GPU showed", ""]
    if any(result["rehearsal"] for result in found.values()):
        lines += ["**A rehearsal at toy size on the CPU: its figures mean nothing.**", ""]
    lines += [", ".join(f"{key} {value}" for key, value in machine.items()), ""]
    lines += ["| part | outcome | seconds |", "|---|---|---|"]
    lines += [f"| {name} | {_cell(_state(each))} | {each.get('seconds', '')} |" for name, each in found.items()]
    for name, result in {**found, "process to process": {"rows": processes}}.items():
        lines += ["", f"## {name}", "", *_table(result["rows"])]
    (out / "gpu-report.md").write_text("\n".join(lines) + "\n")


def _processes(found: dict[str, dict[str, Any]]) -> list[Row]:
    """Whether two processes gave the same bits, for each part that ran in two."""
    pairs = {name: found[name + AGAIN]["rows"] for name in found if name + AGAIN in found}
    bits = {
        name: [rows[0].get("bits") if rows else None for rows in (found[name]["rows"], two)]
        for name, two in pairs.items()
    }
    return [
        {"part": name, "equal": one == two, "passed": one == two} for name, (one, two) in bits.items() if one and two
    ]


def _table(rows: list[Row]) -> list[str]:
    columns = [column for column in dict.fromkeys(key for row in rows for key in row) if column != "passed"]
    if not columns:
        return ["Nothing was found."]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    return lines + [f"| {' | '.join(_cell(row.get(column, '')) for column in columns)} |" for row in rows]


def _cell(value: Any) -> str:
    words = {True: "yes", False: "NO"}
    return (words[value] if isinstance(value, bool) else str(value)).replace("|", "\\|")
