"""What is measured, the same for every target."""

import importlib
import json
import multiprocessing
import time
from threading import Thread
from uuid import uuid4

FILL_BATCH = 1000


def viewing():
    return json.dumps({"userId": str(uuid4()), "videoId": "streams"})


def prepare(target, _options):
    target.prepare()
    return {"prepared": True}


def write(target, options):
    """Clients that each write one message a transaction, each to a new stream: threads, shared out
    among processes, since threads of one process take turns at Python code."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(options.processes)
    with context.Pool(options.processes, initializer=_take_barrier, initargs=(ready,)) as pool:
        shares = [
            options.clients // options.processes + (rank < options.clients % options.processes)
            for rank in range(options.processes)
        ]
        calls = [(target.__name__, clients, options) for clients in shares]
        results = pool.starmap(_write_in_process, calls, chunksize=1)
    messages = sum(messages for messages, _ in results)
    elapsed = max(elapsed for _, elapsed in results)
    return {"rate": messages / elapsed, "messages": messages}


def _take_barrier(barrier):
    global ready
    ready = barrier


def _write_in_process(target_name, clients, options):
    target = importlib.import_module(target_name)
    counts = [0] * clients
    with target.open(clients, options) as store:
        # The connections are there, and their statements prepared, before the clock starts.
        _in_threads(clients, lambda _: store.append([viewing()]))
        ready.wait()
        start = time.monotonic()
        end = start + options.seconds

        def write_until_end(client):
            while time.monotonic() < end:
                store.append([viewing()])
                counts[client] += 1

        _in_threads(clients, write_until_end)
        return sum(counts), time.monotonic() - start


def _in_threads(number, work):
    failures = []

    def run(client):
        try:
            work(client)
        except Exception as failure:
            failures.append(failure)

    threads = [Thread(target=run, args=(client,)) for client in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def write_batch(target, options):
    """One connection that writes a batch to a new stream in each transaction."""
    with target.open(1, options) as store:
        store.append([viewing()])
        messages = 0
        start = time.monotonic()
        end = start + options.seconds
        while time.monotonic() < end:
            store.append([viewing() for _ in range(options.batch)])
            messages += options.batch
        elapsed = time.monotonic() - start
    return {"rate": messages / elapsed, "messages": messages}


def catch_up(target, options):
    """A consumer that counts all messages of the log, from the first one on."""
    with target.open(1, options) as store:
        there = store.count()
        while there < options.messages:
            batch = min(FILL_BATCH, options.messages - there)
            store.append([viewing() for _ in range(batch)])
            there += batch
        store.analyze()
        log = store.count()

        consumer = store.consumer(options)
        start = time.monotonic()
        consumer.run()
        elapsed = time.monotonic() - start
        counted = consumer.counted()
    if counted == 0:
        raise RuntimeError("the consumer counted nothing")
    return {"rate": counted / elapsed, "messages": counted, "missing": log - counted}
