"""Drives a message store with its own client and prints one line of JSON. See ../README.md."""

import argparse
import importlib
import json
import os

import works

TARGETS = {
    "eventsourcing": "targets.eventsourcing_library",
    "message_store": "targets.message_store",
    "pgmq": "targets.pgmq_sql",
}

WORKS = {
    "prepare": works.prepare,
    "write": works.write,
    "write-batch": works.write_batch,
    "catch-up": works.catch_up,
}


def read_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("work", choices=WORKS)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--processes", type=int, help="that share the clients, as threads")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--page", type=int, default=5000, help="messages read at a time")
    parser.add_argument("--handle-in", choices=["database", "application"], default="database")
    parser.add_argument(
        "--functions", action="store_true", help="eventsourcing inserts by its database function"
    )
    options = parser.parse_args()
    if options.processes is None:
        options.processes = min(options.clients, os.cpu_count() or 1)
    return options


def main():
    options = read_arguments()
    target = importlib.import_module(TARGETS[options.target])
    print(json.dumps(WORKS[options.work](target, options)))


if __name__ == "__main__":
    main()
