"""Start-up settings: command line, then environment, then defaults. No torch, no gradio."""

from __future__ import annotations

import argparse
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

DEFAULT_DATA = user_data_path("second-round", appauthor=False)


@dataclass(frozen=True)
class Settings:
    model: str = "emoji-sd"
    host: str = "127.0.0.1"
    port: int = 7860
    device: str = "auto"  # auto, cpu, cuda
    dtype: str = "auto"  # auto, float32, bfloat16, float16
    lanes: int = 0  # 0: the model's own
    threads: int = 0  # CPU threads of torch; 0: torch's own choice
    noise_device: str = "cpu"  # cpu, cuda
    full_determinism: bool = False
    offload: str = "none"  # none, model
    switching: str = "auto"  # auto, any, hub, one: which models a visitor may load
    data: Path = DEFAULT_DATA
    max_queue: int = 64
    shelves: str = "auto"  # auto, one, each: do visitors share one shelf, or has each a shelf of their own
    keep_hours: float = 0.0  # delete pictures older than this; 0: keep them
    previews: bool = True
    share: bool = False
    allowed_hosts: tuple[str, ...] = ()  # names beside its own by which the app is reached, or from whose pages

    @property
    def visitors_choose(self) -> str:
        """Which models a visitor may load: any (folders and files too), hub, or one.

        With auto, who sits at the machine may load any, and strangers none but the one that is served.
        """
        if self.switching != "auto":
            return self.switching
        return "one" if self.strangers else "any"

    @property
    def shared(self) -> bool:
        """Has every visitor a shelf of their own, which no other sees?

        With auto, who sits at the machine has its one shelf, and strangers have one each.
        """
        return self.strangers if self.shelves == "auto" else self.shelves == "each"

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
        return self.strangers or self.shared

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


def hosts(text: str) -> tuple[str, ...]:
    """Names without port, with commas between them."""
    names = tuple(filter(None, (name.strip().lower() for name in text.split(","))))
    for name in names:
        if not re.fullmatch(r"\*|(\*\.)?[a-z0-9_]([a-z0-9._-]*[a-z0-9])?", name):
            raise argparse.ArgumentTypeError(f"{name!r} is no host name, such as example.org or *.example.org")
    return names


# name, type or choices, help.
_OPTIONS: tuple[tuple[str, object, str], ...] = (
    ("model", str, "catalog entry, hub id, folder or .safetensors file"),
    ("host", str, "address to listen on; 0.0.0.0 for every interface"),
    ("port", int, "port to listen on"),
    ("device", ("auto", "cpu", "cuda"), "where the model runs"),
    ("dtype", ("auto", "float32", "bfloat16", "float16"), "number format of the weights"),
    ("lanes", int, "pictures in one pipeline call; 0 for the model's own"),
    ("threads", int, "CPU threads; 0 for torch's choice. On a CPU this can change bits"),
    ("noise_device", ("cpu", "cuda"), "where generators draw; cuda noise depends on the GPU model"),
    ("full_determinism", bool, "deterministic algorithms only, no TF32, fixed cuBLAS workspace"),
    ("offload", ("none", "model"), "model: move parts to the GPU one at a time, for little memory"),
    ("switching", ("auto", "any", "hub", "one"), "models that visitors may load; auto: any on localhost, else one"),
    ("data", Path, "folder that keeps the pictures"),
    ("shelves", ("auto", "one", "each"), "one shelf for all, or one each; auto: one on localhost, else each"),
    ("max_queue", int, "visitors waiting before new ones are asked to come back"),
    ("keep_hours", float, "delete pictures after this many hours; 0 keeps them"),
    ("previews", bool, "show pictures in the page while they are made"),
    ("share", bool, "open a public gradio.live link"),
    ("allowed_hosts", hosts, "more names the app is reached by, and sites whose pages may use it; * for any"),
)


def parse(argv: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Settings of this start. A bad value ends the program with a message naming it (argparse, exit 2)."""
    parser = argparse.ArgumentParser(
        prog="app.py",
        description="Second Round: deterministic batch generation with diffusers.",
        epilog="Each setting can also be given as the environment variable named with it.",
    )
    for name, kind, text in _OPTIONS:
        variable = name.upper() if name in ("model", "host", "port") else f"SECOND_ROUND_{name.upper()}"
        default = getattr(Settings, name) if kind is not hosts else ""
        if name in ("host", "port"):  # Spaces say by Gradio's own variables where to listen
            default = environment.get({"host": "GRADIO_SERVER_NAME", "port": "GRADIO_SERVER_PORT"}[name], default)
        # A string default goes through `type` as an argument would, so that both are checked alike.
        value = environment.get(variable) or str(default)
        flag = "--" + name.replace("_", "-")
        shown = f"{text} (${variable}, default: {default})".replace(str(Path.home()), "~")
        if kind is bool:
            parser.add_argument(flag, type=_boolean, nargs="?", const=True, default=value, help=shown, metavar="BOOL")
        elif isinstance(kind, tuple):
            parser.add_argument(flag, type=_one_of(kind), default=value, help=shown, metavar="|".join(kind))
        else:
            read = _folder if kind is Path else kind
            parser.add_argument(flag, type=read, default=value, help=shown, metavar=kind.__name__.upper())
    values = vars(parser.parse_args(argv))
    for name, low, high in (
        ("port", 0, 65535),
        ("lanes", 0, 16),
        ("threads", 0, 256),
        ("max_queue", 1, 10_000),
    ):
        if not low <= values[name] <= high:
            parser.error(f"argument --{name.replace('_', '-')}: {values[name]} is not from {low} to {high}")
    if not 0 <= values["keep_hours"] < 1e6:
        parser.error(f"argument --keep-hours: {values['keep_hours']} is not from 0 to 1000000")
    return Settings(**values)


def _boolean(text: str) -> bool:
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    if text.lower() not in words:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return words[text.lower()]


def _folder(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _one_of(choices: tuple[str, ...]):
    def check(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(choices)}")
        return text

    return check
