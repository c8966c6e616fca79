#!/usr/bin/env python3
"""Passes on the logs of kept traces, and leaves out those of dropped ones.

Reads a topic of logs whose records are keyed by trace id (the Collector's Kafka exporter with
`partition_logs_by_trace_id: true`), and writes the same records to another topic, without those
of traces that tailsieve dropped. Records without a trace id pass at once.

The decisions come from `tailsieve decisions`, which this starts. A record waits for the decision on
its trace, at most --wait seconds; then --undecided says what becomes of it. Records of a partition
keep their order. An offset is committed when its record, and all before it, were written or left
out: after a crash records may be written twice, and none is lost.

Needs confluent-kafka from PyPI. docs/decisions-feed.md has the whole recipe.
"""

import argparse
import collections
import json
import shlex
import signal
import subprocess
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

# A partition with so many records in waiting is read no further for a while.
MOST_WAITING = 10_000


class Decisions:
    """What was decided lately: by trace id in hexadecimal digits, whether it is kept."""

    def __init__(self, command, most):
        self.kept = collections.OrderedDict()
        self.most = most
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            entry = json.loads(line)
            trace = entry["traceId"]
            # What a former owner writes does not change what the owner has written.
            if entry["formerOwner"] and trace in self.kept:
                continue
            self.kept[trace] = entry["decision"] == "keep"
            if len(self.kept) > self.most:
                self.kept.popitem(last=False)

    def of(self, trace):
        """True if the trace is kept, False if it is dropped, None if that is not known."""
        return self.kept.get(trace)

    def have_ended(self):
        return self.process.poll() is not None


class LogFilter:
    def __init__(self, args):
        self.args = args
        decisions = shlex.split(args.tailsieve) + [
            "decisions", "--brokers", args.brokers, "--topic", args.decisions,
            "--from", f"{args.remember}s", "--entry", "decided", "--output", "json",
        ]
        if args.sampler_group:
            decisions += ["--group", args.sampler_group]
        self.decisions = Decisions(decisions, args.most_decisions)
        self.producer = Producer({
            "bootstrap.servers": args.brokers,
            "enable.idempotence": True,
            "linger.ms": 20,
        })
        self.consumer = Consumer({
            "bootstrap.servers": args.brokers,
            "group.id": args.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        })
        # By partition: records in waiting, with the time when each came, and the next position.
        self.waiting = {}
        self.done = {}
        self.paused = set()
        self.counts = collections.Counter()

    def run(self, stop):
        self.consumer.subscribe([self.args.logs], on_revoke=self.revoked, on_lost=self.lost)
        committed = time.monotonic()
        while not stop.is_set():
            if self.decisions.have_ended():
                sys.exit("tailsieve decisions has ended; see above")
            record = self.consumer.poll(0.1)
            if record is not None:
                if record.error():
                    raise KafkaException(record.error())
                queue = self.waiting.setdefault(record.partition(), collections.deque())
                queue.append((time.monotonic(), record))
            for partition in self.waiting:
                self.settle(partition)
            if time.monotonic() - committed > 1:
                self.commit()
                committed = time.monotonic()
        self.commit()
        self.consumer.close()

    def settle(self, partition):
        """Writes or leaves out the records of which it is known what becomes of them, in order."""
        queue = self.waiting[partition]
        while queue:
            came, record = queue[0]
            kept = self.is_kept(record.key())
            if kept is None:
                if time.monotonic() - came < self.args.wait:
                    break
                self.counts["undecided"] += 1
                kept = self.args.undecided == "keep"
            if kept:
                self.write(record)
            self.counts["kept" if kept else "dropped"] += 1
            self.done[partition] = record.offset() + 1
            queue.popleft()
        self.regulate(partition, len(queue))

    def is_kept(self, key):
        return True if not key else self.decisions.of(key.decode("ascii", "replace").lower())

    def write(self, record):
        while True:
            try:
                self.producer.produce(
                    self.args.out, record.value(), record.key(), headers=record.headers(),
                    on_delivery=self.written,
                )
                self.producer.poll(0)
                return
            except BufferError:
                self.producer.poll(0.1)

    def written(self, error, _record):
        if error is not None:
            # Nothing was committed beyond it: the next start reads it again.
            sys.exit(f"a record cannot be written to {self.args.out}: {error}")

    def regulate(self, partition, waiting):
        place = [TopicPartition(self.args.logs, partition)]
        if waiting >= MOST_WAITING and partition not in self.paused:
            self.consumer.pause(place)
            self.paused.add(partition)
        elif waiting < MOST_WAITING // 2 and partition in self.paused:
            self.consumer.resume(place)
            self.paused.discard(partition)

    def commit(self):
        # Only what Kafka has taken counts as done.
        self.producer.flush()
        offsets = [TopicPartition(self.args.logs, *place) for place in self.done.items()]
        if offsets:
            self.consumer.commit(offsets=offsets, asynchronous=False)
            self.done.clear()

    def revoked(self, _consumer, partitions):
        self.commit()
        self.forget(partitions)

    def lost(self, _consumer, partitions):
        self.forget(partitions)

    def forget(self, partitions):
        for place in partitions:
            self.waiting.pop(place.partition, None)
            self.done.pop(place.partition, None)
            self.paused.discard(place.partition)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--brokers", default="localhost:9092")
    parser.add_argument("--logs", default="otlp_logs", help="the topic that is read")
    parser.add_argument("--out", default="otlp_logs_kept", help="the topic that is written")
    parser.add_argument("--group", default="logs-of-kept-traces", help="its consumer group")
    parser.add_argument("--decisions", default="otlp_spans_decisions", help="the decision log")
    parser.add_argument("--sampler-group", help="the consumer group of the tailsieve members")
    parser.add_argument("--tailsieve", default="tailsieve", help="the command")
    parser.add_argument("--wait", type=float, default=90, help="seconds for a decision to come")
    parser.add_argument("--undecided", choices=["keep", "drop"], default="keep")
    parser.add_argument("--remember", type=int, default=3600,
                        help="seconds of decisions that are read back at the start")
    parser.add_argument("--most-decisions", type=int, default=1_000_000,
                        help="how many decisions are remembered")
    return parser.parse_args()


def main():
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    log_filter = LogFilter(arguments())
    try:
        log_filter.run(stop)
    finally:
        log_filter.decisions.process.terminate()
        print(dict(log_filter.counts), file=sys.stderr)


if __name__ == "__main__":
    main()
