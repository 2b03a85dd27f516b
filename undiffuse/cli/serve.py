"""`undiffuse serve`: a model for other programs, and a page that shows the text denoise."""

from pathlib import Path
from typing import Annotated

import typer

from .options import Dtype, ModelDevice, Plugins, Threads


def serve(
    models: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="DIR|NAME", help="What to serve (repeatable; default: as with other verbs)."),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Where to listen; beyond this machine, set keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any that is free.")] = 8000,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    key_file: Annotated[
        Path | None,
        typer.Option("--api-keys", metavar="F", help="A file with one API key per line; others are refused."),
    ] = None,
    origins: Annotated[
        list[str] | None,
        typer.Option("--allow-origin", metavar="URL", help="A site whose pages may ask (repeatable; default: none)."),
    ] = None,
    rows: Annotated[
        int | None, typer.Option("--rows", min=1, help="Rows of the network in a step (default: measured, 50 ms).")
    ] = None,
    memory: Annotated[
        float | None, typer.Option("--memory", metavar="GB", help="For texts that run (default: half of what is free).")
    ] = None,
    drain: Annotated[
        float, typer.Option("--drain", metavar="S", help="Seconds to finish what runs when the server is stopped.")
    ] = 30.0,
    on_ray: Annotated[
        bool, typer.Option("--ray", help="Replicas on Ray, of this machine or of the cluster at RAY_ADDRESS.")
    ] = False,
    replicas: Annotated[
        str | None,
        typer.Option("--replicas", metavar="N|MIN-MAX", help="How many, or as many as the work needs (default: 1)."),
    ] = None,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Whether / shows the page.")] = True,
    device: ModelDevice = None,
    dtype: Dtype = None,
    threads: Threads = None,
    plugins: Plugins = None,
) -> None:
    """Serve models over HTTP: OpenAI's endpoints and our own, and a page that shows the text denoise."""
    from ..errors import UserError
    from ..serve.command import Settings, run

    if replicas is not None and not on_ray:
        raise UserError(f"--replicas {replicas} needs --ray: one server has one engine")

    if key_file is not None and not key_file.is_file():
        raise UserError(f"there is no file {key_file} with API keys")
    keys = key_file.read_text(encoding="utf-8").split() if key_file is not None else []
    if key_file is not None and not keys:
        raise UserError(f"{key_file} holds no API key: write one per line")
    settings = Settings(
        models=tuple(models or ()),
        host=host,
        port=port,
        open_page=open_page,
        keys=tuple(keys),
        origins=tuple(origins or ()),
        rows=rows,
        memory=memory,
        drain=drain,
        page=page,
        device=device,
        dtype=dtype,
        threads=threads,
        plugins=tuple(plugins or ()),
    )
    if on_ray:
        from ..serve import ray
        from ..serve.scaling import Replicas

        ray.run(settings, Replicas.of(replicas or "1"))
    else:
        run(settings)
