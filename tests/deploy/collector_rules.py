"""What the Collector's `validate` cannot know of deploy/collector.

    collector_rules.py keyed FILE      every Kafka exporter of FILE keys its records by trace id, and none
                                       of its records can be larger than Kafka takes by default
    collector_rules.py same FILE CONFIG
                                       the resource FILE for the operator has the configuration CONFIG
"""

import sys

import yaml

# message.max.bytes of brokers, and with it max.message.bytes of topics.
KAFKA_DEFAULT = 1048588


def load(path):
    with open(path, encoding="utf-8") as file:
        return yaml.safe_load(file)


def keyed(config):
    """Yields what is wrong."""
    for name, exporter in config["exporters"].items():
        if name.split("/")[0] != "kafka":
            continue
        signal = "logs" if "logs" in exporter else "traces"
        key = "partition_logs_by_trace_id" if signal == "logs" else "partition_traces_by_id"
        if exporter.get(key) is not True:
            yield f"{name}: {key} is not true"
        if exporter.get(signal, exporter).get("encoding") != "otlp_proto":
            yield f"{name}: the encoding is not otlp_proto"
        largest = exporter["producer"]["max_message_bytes"]
        if largest > KAFKA_DEFAULT:
            yield f"{name}: max_message_bytes is above Kafka's {KAFKA_DEFAULT}"
        batch = exporter["sending_queue"].get("batch")
        if batch and batch["max_size"] >= largest:
            yield f"{name}: batch::max_size is not below max_message_bytes"


def same(resource, config):
    """Yields what is wrong."""
    inside = resource["spec"]["config"]
    for section in sorted(inside.keys() | config.keys()):
        if inside.get(section) != config.get(section):
            yield f"spec.config.{section} is not that of the other file"


def main():
    check, *files = sys.argv[1:]
    wrong = list({"keyed": keyed, "same": same}[check](*map(load, files)))
    for line in wrong:
        print(f"{files[0]}: {line}", file=sys.stderr)
    sys.exit(1 if wrong else 0)


main()
