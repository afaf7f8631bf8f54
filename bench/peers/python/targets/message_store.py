"""Ours, by psycopg 3, with a pool of the same size and prepared statements."""

import json
from collections import Counter
from contextlib import contextmanager
from uuid import uuid4

import psycopg
from psycopg.rows import namedtuple_row
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

SUBSCRIBER = "aggregators:bench"


def prepare():
    with psycopg.connect(autocommit=True) as database:
        database.execute("CREATE EXTENSION IF NOT EXISTS message_store")
        database.execute("SELECT message_store.create_store()")


@contextmanager
def open(connections, _options):
    with ConnectionPool(
        min_size=connections,
        max_size=connections,
        kwargs={"autocommit": True, "row_factory": namedtuple_row},
    ) as pool:
        yield Store(pool)


class Store:
    def __init__(self, pool):
        self.pool = pool

    def append(self, viewings):
        stream = f"viewings-{uuid4()}"
        if len(viewings) == 1:
            self._execute(
                "SELECT message_store.write_message(%s, %s, 'VideoViewed', %s)",
                (str(uuid4()), stream, viewings[0]),
            )
        else:
            messages = ",".join(f'{{"type":"VideoViewed","data":{each}}}' for each in viewings)
            self._execute(
                "SELECT max(global_position) FROM message_store.write_messages(%s, %s::jsonb)",
                (stream, f"[{messages}]"),
            )

    def _execute(self, statement, parameters):
        with self.pool.connection() as database:
            database.execute(statement, parameters, prepare=True)

    def count(self):
        with self.pool.connection() as database:
            return database.execute("SELECT count(*) FROM message_store.messages").fetchone().count

    def analyze(self):
        with self.pool.connection() as database:
            database.execute("VACUUM (ANALYZE) message_store.messages")

    def consumer(self, options):
        kind = Application if options.handle_in == "application" else Aggregator
        with self.pool.connection() as database:
            return kind(database, options.page)


class Aggregator:
    """The messages are handled in the database."""

    def __init__(self, database, page):
        self.database = database
        _subscribe(
            database,
            {"VideoViewed": "message_store.increment_videos_watched"},
            {"init": "message_store.ensure_home_page", "batch_size": page},
        )

    def run(self):
        while (outcome := self._tick()) == "progressed":
            pass
        if outcome != "idle":
            raise RuntimeError(f"the aggregator is {outcome}")

    def _tick(self):
        return self.database.execute(
            "SELECT outcome FROM message_store.tick(%s)", (SUBSCRIBER,), prepare=True
        ).fetchone().outcome

    def counted(self):
        return self.database.execute(
            """SELECT (page_data ->> 'videosWatched')::bigint AS counted
               FROM message_store.read_model_pages WHERE page_name = 'home'"""
        ).fetchone().counted


class Application:
    """The messages are handled in this program; the count is written down in the transaction of
    the acknowledgement."""

    def __init__(self, database, page):
        self.database = database
        self.page = page
        database.execute(
            "CREATE TABLE viewing_counts (video_id text PRIMARY KEY, viewings bigint NOT NULL)"
        )
        _subscribe(database, {}, {})

    def run(self):
        while self._handle_next():
            pass

    def _handle_next(self):
        with self.database.transaction():
            messages = self.database.execute(
                """SELECT data, global_position, lease
                   FROM message_store.fetch(%s, %s, '1 min')""",
                (SUBSCRIBER, self.page),
                prepare=True,
            ).fetchall()
            viewings = Counter(json.loads(each.data)["videoId"] for each in messages)
            for video_id, number in viewings.items():
                self.database.execute(
                    """INSERT INTO viewing_counts VALUES (%s, %s) ON CONFLICT (video_id)
                       DO UPDATE SET viewings = viewing_counts.viewings + excluded.viewings""",
                    (video_id, number),
                    prepare=True,
                )
            if messages:
                self.database.execute(
                    "SELECT message_store.ack(%s, %s, %s)",
                    (SUBSCRIBER, messages[-1].global_position, messages[-1].lease),
                    prepare=True,
                )
        return len(messages)

    def counted(self):
        return int(
            self.database.execute(
                "SELECT coalesce(sum(viewings), 0) AS counted FROM viewing_counts"
            ).fetchone().counted
        )


def _subscribe(database, handlers, options):
    database.execute(
        "SELECT message_store.create_subscription(%s, 'viewings', %s, %s)",
        (SUBSCRIBER, Jsonb(handlers), Jsonb(options)),
    )
    database.execute("SELECT message_store.start(%s)", (SUBSCRIBER,))
