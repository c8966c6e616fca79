"""What the schema of compose files cannot know of deploy/compose/compose.yaml.

    compose_rules.py FILE [FOLDER]     FOLDER is where its paths begin, by default that of FILE
"""

import pathlib
import re
import sys

import yaml

# Services without something to ask: their images have no shell and no command for it, or they end.
NO_HEALTH = {"collector", "load", "topics", "traffic"}
# Services whose image says how it is asked.
HEALTH_OF_IMAGE = {"orders", "storefront", "tailsieve"}
ADDRESS = re.compile(r"(?:^|//|[\s\"'\[])([a-z][a-z0-9-]*):[0-9]{2,5}(?![0-9.])")


def load(path):
    with open(path, encoding="utf-8") as file:
        return yaml.safe_load(file)


def texts(value):
    """Yields every text in a document, but for names of images."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key != "image":
                yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


def mounted(compose, folder):
    """Yields every file and folder of this repository that a container sees."""
    for config in compose.get("configs", {}).values():
        yield folder / config["file"]
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            yield folder / volume.split(":")[0]
        build = service.get("build", [])
        if isinstance(build, str):
            yield folder / build / "Dockerfile"
        elif build:
            yield folder / build["context"] / build["dockerfile"]


def addresses(compose, folder):
    """Yields (where, host) for each HOST:PORT in the files that are mounted."""
    files = [folder / config["file"] for config in compose.get("configs", {}).values()]
    files += [folder / "../prometheus/prometheus.yaml"]
    files += sorted((folder / "../grafana/provisioning/datasources").glob("*.yaml"))
    documents = [("compose.yaml", compose), *((file.name, load(file)) for file in files)]
    for name, document in documents:
        for text in texts(document):
            for host in ADDRESS.findall(text):
                yield name, host


def service_wrong(name, service, compose):
    """Yields what is wrong with a service."""
    image = service["image"]
    is_built = "build" in service or any(
        other.get("image") == image and "build" in other for other in compose["services"].values()
    )
    if not is_built and not re.search(r":v?\d+\.\d+\.\d+$", image):
        yield f"the image {image} is not pinned to a version"
    if "restart" not in service and not service.get("profiles"):
        yield "it does not say when it restarts"
    if name not in NO_HEALTH | HEALTH_OF_IMAGE and "test" not in service.get("healthcheck", {}):
        yield "it has no health check"
    for other in service.get("depends_on", {}):
        if other not in compose["services"]:
            yield f"it depends on {other}, which is no service"
    for config in service.get("configs", []):
        if config["source"] not in compose["configs"]:
            yield f"{config['source']} is no config of this file"


def wrong(compose, folder):
    """Yields everything that is wrong."""
    for name, service in compose["services"].items():
        yield from (f"{name}: {text}" for text in service_wrong(name, service, compose))
    for path in mounted(compose, folder):
        if not path.exists():
            yield f"{path} is not there"
    if any(not (folder / config["file"]).exists() for config in compose["configs"].values()):
        return
    for name, host in addresses(compose, folder):
        if host not in compose["services"] and host != "localhost":
            yield f"{name} names {host}, which is no service"


def main():
    file = pathlib.Path(sys.argv[1])
    folder = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else file.parent
    lines = list(wrong(load(file), folder))
    for line in lines:
        print(f"{file}: {line}", file=sys.stderr)
    sys.exit(1 if lines else 0)


main()
