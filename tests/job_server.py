"""A server with a process of its own, to be killed: `python -m tests.job_server FOLDER ENCODE` says its port. Its fits have one thread."""

import os
import sys
from functools import partial
from pathlib import Path

import uvicorn

from inrcodec.serve import service
from inrcodec.serve.app import create_app
from inrcodec.serve.encoder import Encoder
from inrcodec.serve.settings import Settings
from tests import job_work


class _Telling(uvicorn.Server):
    async def startup(self, sockets: object = None) -> None:
        await super().startup()
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)


def main(folder: str, encode: str) -> None:
    os.cpu_count = lambda: 1
    service.Encoder = partial(Encoder, encode=getattr(job_work, encode))  # type: ignore[assignment,misc]
    config = uvicorn.Config(create_app(Settings(folder=Path(folder), port=0)), port=0, log_level="critical", timeout_graceful_shutdown=1)
    _Telling(config).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
