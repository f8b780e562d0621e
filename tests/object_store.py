"""Serve S3 on loopback."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from unittest import mock

SECRET = "canary-secret-77b1e0"


@contextmanager
def s3_server() -> Iterator[Mapping[str, str]]:
    """Serve one ``bucket`` within the block, and yield the environment variables that clients need.

    Only one server at a time: the process holds its content, and clients keep the address that they were
    made with.
    """
    import fsspec
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        environment = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "canary-id-0c41d2",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        with mock.patch.dict("os.environ", environment):
            fsspec.get_filesystem_class("s3").clear_instance_cache()
            fsspec.filesystem("s3", skip_instance_cache=True).makedir("bucket")
        yield environment
    finally:
        server.stop()


def stored(url: str) -> dict[str, bytes]:
    """Return every object below an ``s3://`` address by its name."""
    import fsspec

    system = fsspec.filesystem("s3", use_listings_cache=False)
    root = url.removeprefix("s3://")
    names = list(system.find(root))
    contents = system.cat(names, on_error="omit") if names else {}
    return {name[len(root) + 1 :]: content for name, content in contents.items()}
