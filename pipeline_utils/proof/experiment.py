"""What an experiment is, and how some are run one after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pipeline_utils.engine.stops import Stopped
from pipeline_utils.errors import CapacityError, UserError
from pipeline_utils.proof.shared_model import SharedModel

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """ok: True and False; None when the experiment cannot be run here. numbers: what was measured, by name."""

    ok: bool | None
    text: str
    numbers: dict[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """statement: what is expected, in one sentence. code: the calls that matter, as one would type them."""

    id: str
    title: str
    statement: str
    code: str
    run: Callable[[SharedModel], Result]


def run(experiments: Sequence[Experiment], model: SharedModel) -> Iterator[tuple[Experiment, Result | None]]:
    """(experiment, None) before each, then with its result. Raises Stopped when told to stop."""
    for experiment in experiments:
        yield experiment, None
        try:
            result = experiment.run(model)
        except Stopped:
            raise
        except CapacityError as error:
            result = Result(None, f"Not available here: {error}")
        except UserError as error:
            result = Result(False, str(error))
        except Exception as error:  # a finding too, about this model on this machine
            _log.exception("The experiment %s failed.", experiment.id)
            result = Result(False, f"It failed: {type(error).__name__}: {str(error)[:300]}")
        yield experiment, result
