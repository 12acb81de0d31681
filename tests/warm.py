"""Imports what an app spends its start on, in a process of which apps are copies: tests/running.py.

Gradio is not among it: it reads the environment of the app when it is imported, as the hub's library does of the
tests' own, which all apps share.
"""

import os

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # as app.py does

import diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion
import fastapi
import httpx
import pandas
import uvicorn

__all__ = ["diffusers", "fastapi", "httpx", "pandas", "uvicorn"]
