"""Start-up settings: command line, then environment, then defaults. No torch, no gradio."""

from __future__ import annotations

import argparse
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path, user_data_path

DEVICES = "auto|cpu|cuda|cuda:N|mps|xpu"
DEFAULT_DATA = user_data_path("second-round", appauthor=False)
# The two that Spaces say by Gradio's own variables.
_GRADIO = {"host": "GRADIO_SERVER_NAME", "port": "GRADIO_SERVER_PORT"}


def _hosts(text: str) -> tuple[str, ...]:
    """Names without port, with commas between them."""
    names = tuple(filter(None, (name.strip().lower() for name in text.split(","))))
    for name in names:
        if not re.fullmatch(r"\*|(\*\.)?[a-z0-9_]([a-z0-9._-]*[a-z0-9])?", name):
            raise argparse.ArgumentTypeError(f"{name!r} is no host name, such as example.org or *.example.org")
    return names


def _boolean(text: str) -> bool:
    for value, words in ((True, ("1", "true", "yes", "on")), (False, ("0", "false", "no", "off"))):
        if text.lower() in words:
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")


def _folder(text: str) -> Path:
    return Path(text).expanduser().absolute()


def one_of(choices: str) -> Callable[[str], str]:
    """What reads one of `choices`, with | between them, N being a number. It raises ArgumentTypeError."""

    def read(text: str) -> str:
        if not re.fullmatch(choices.replace(":N", ":[0-9]{1,2}"), text):
            raise argparse.ArgumentTypeError(f"{text!r} is not one of {choices.replace('|', ', ')}")
        return text

    return read


_BOUNDS = {"visitor_rounds": 8, "address_rounds": 48, "visitor_pictures": 240}  # where strangers come
_READ = {"STR": str, "INT": int, "FLOAT": float, "BOOL": _boolean, "PATH": _folder, "HOSTS": _hosts}


def _option(default: Any, kind: str, text: str, low: float = 0, high: float = float("inf")) -> Any:
    """A field of Settings. kind: a key of _READ, or choices with | between them. low, high: of a number."""
    return field(default=default, metadata={"kind": kind, "text": text, "low": low, "high": high})


@dataclass(frozen=True)
class Settings:
    """What is chosen at the start; each is an option of the command line, and an environment variable."""

    model: str = _option("emoji-sd", "STR", "catalog entry, hub id, folder or .safetensors file")
    host: str = _option("127.0.0.1", "STR", "address to listen on; 0.0.0.0 for every interface")
    port: int = _option(7860, "INT", "port to listen on", high=65535)
    device: str = _option("auto", DEVICES, "where the model runs; auto: a CUDA GPU, else the CPU")
    dtype: str = _option("auto", "auto|float32|bfloat16|float16", "number format of the weights")
    lanes: int = _option(0, "INT", "pictures in one pipeline call; 0 for the model's own", high=16)
    threads: int = _option(0, "INT", "CPU threads; 0 for torch's choice. On a CPU this can change bits", high=256)
    noise_device: str = _option("cpu", "cpu|cuda|mps|xpu", "where generators draw; a GPU's noise depends on its model")
    full_determinism: bool = _option(False, "BOOL", "deterministic algorithms only, no TF32")
    offload: str = _option("none", "none|model", "model: move parts to the GPU one at a time, for little memory")
    switching: str = _option(
        "auto", "auto|any|hub|one", "models that visitors may load; auto: any on localhost, else one"
    )
    data: Path = _option(DEFAULT_DATA, "PATH", "folder that keeps the pictures")  # noqa: RUF009  a Path is immutable
    shelves: str = _option("auto", "auto|one|each", "one shelf for all, or one each; auto: one on localhost, else each")
    max_queue: int = _option(64, "INT", "visitors waiting before new ones are asked to come back", low=1, high=10_000)
    visitor_rounds: int = _option(
        0, "INT", "rounds and checks of one visitor at once; 0: 8 where strangers come, else any", high=10_000
    )
    address_rounds: int = _option(
        0, "INT", "the same of one network address; 0: 48 where strangers come, else any", high=10_000
    )
    visitor_pictures: int = _option(
        0, "INT", "pictures a minute for one visitor; 0: 240 where strangers come, else any", high=1_000_000
    )
    keep_hours: float = _option(0.0, "FLOAT", "delete pictures after this many hours; 0 keeps them", high=1_000_000)
    previews: bool = _option(True, "BOOL", "show pictures in the page while they are made")
    share: bool = _option(False, "BOOL", "open a public gradio.live link")
    prompt_writer: str = _option("", "STR", "your name, for the files to say who wrote their prompts; never on a host")
    allowed_hosts: tuple[str, ...] = _option(
        (), "HOSTS", "more names the app is reached by, and sites whose pages may use it; * for any"
    )

    @property
    def visitors_choose(self) -> str:
        """Which models a visitor may load: any (folders and files too), hub, or one.

        With auto, who sits at the machine may load any, and strangers none but the one that is served.
        """
        if self.switching != "auto":
            return self.switching
        return "one" if self.strangers else "any"

    @property
    def own_shelves(self) -> bool:
        """Has every visitor a shelf of their own, which no other sees?

        With auto, who sits at the machine has its one shelf, and strangers have one each.
        """
        return self.strangers if self.shelves == "auto" else self.shelves == "each"

    def bound(self, name: str) -> int:
        """A bound on what one visitor asks for, by the name of its setting; 0 for none."""
        return getattr(self, name) or (_BOUNDS[name] if self.strangers else 0)

    @property
    def cache(self) -> Path:
        """Where what can be made again lies: uploads, and files for one download. Never pictures.

        Where strangers come, and in a data folder that was chosen, it lies inside that folder.
        """
        own = self.data == DEFAULT_DATA and not self.hosting
        return user_cache_path("second-round", appauthor=False) if own else self.data / "cache"

    @property
    def hosting(self) -> bool:
        """Is this a host of others? Then nothing of the machine itself is shown."""
        return self.strangers or self.own_shelves

    @property
    def writer(self) -> str:
        """Who wrote the prompts, "" for not said: of what others type on a host nothing is said."""
        return "" if self.hosting else self.prompt_writer

    @property
    def strangers(self) -> bool:
        """Do others than the person at this machine reach the page? A Space listens on every interface."""
        return self.share or not is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Does the name stand for this machine, whoever is asked about it?"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def parse(argv: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Settings of this start. A bad value ends the program with a message naming it (argparse, exit 2)."""
    parser = argparse.ArgumentParser(
        prog="app.py",
        description="Second Round: deterministic batch generation with diffusers.",
        epilog="Each setting can also be given as the environment variable named with it.",
    )
    for option in fields(Settings):
        name, kind = option.name, option.metadata["kind"]
        variable = name.upper() if name in ("model", "host", "port") else f"SECOND_ROUND_{name.upper()}"
        default = environment.get(_GRADIO.get(name, ""), "" if option.default == () else option.default)
        text = f"{option.metadata['text']} (${variable}, default: {default})".replace(str(Path.home()), "~")
        parser.add_argument(
            "--" + name.replace("_", "-"),
            type=_READ.get(kind) or one_of(kind),
            # A string default goes through `type` as an argument would, so that both are checked alike.
            default=environment.get(variable) or str(default),
            help=text,
            metavar=kind,
            **({"nargs": "?", "const": True} if kind == "BOOL" else {}),
        )
    values = vars(parser.parse_args(argv))
    for option in fields(Settings):
        value, low, high = values[option.name], option.metadata["low"], option.metadata["high"]
        if option.metadata["kind"] in ("INT", "FLOAT") and not low <= value <= high:  # refuses NaN too
            parser.error(f"argument --{option.name.replace('_', '-')}: {value} is not from {low} to {high}")
    return Settings(**values)
