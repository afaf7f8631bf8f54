"""The library eventsourcing, by its own PostgreSQL recorder."""

import json
import os
from collections import Counter
from contextlib import contextmanager
from uuid import uuid4

from eventsourcing.persistence import InfrastructureFactory, StoredEvent, Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.utils import Environment

TOPIC = "VideoViewed"


def prepare():
    with _factory(connections=1, functions=False, create=True) as factory:
        factory.application_recorder()
        factory.tracking_recorder(ViewingCounts)


@contextmanager
def open(connections, options):
    with _factory(connections, options.functions) as factory:
        yield Store(factory)


def _factory(connections, functions, create=False):
    """Configured as its documentation says: by its environment variables, here from libpq's."""
    environment = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": os.environ["PGDATABASE"],
        "POSTGRES_HOST": os.environ["PGHOST"],
        "POSTGRES_PORT": os.environ.get("PGPORT", "5432"),
        "POSTGRES_USER": os.environ["PGUSER"],
        "POSTGRES_PASSWORD": os.environ.get("PGPASSWORD", ""),
        "POSTGRES_POOL_SIZE": str(connections),
        "POSTGRES_MAX_OVERFLOW": "0",
        "POSTGRES_ENABLE_DB_FUNCTIONS": "y" if functions else "n",
        "CREATE_TABLE": "y" if create else "n",
    }
    return InfrastructureFactory.construct(Environment("viewings", environment))


class Store:
    def __init__(self, factory):
        self.factory = factory
        self.recorder = factory.application_recorder()

    def append(self, viewings):
        originator_id = uuid4()
        self.recorder.insert_events([
            StoredEvent(originator_id, version, TOPIC, viewing.encode())
            for version, viewing in enumerate(viewings, start=1)
        ])

    def count(self):
        with self.recorder.datastore.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM viewings_events")
            return cursor.fetchone()["count"]

    def analyze(self):
        with self.recorder.datastore.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE) viewings_events")

    def consumer(self, options):
        return Consumer(self.recorder, self.factory.tracking_recorder(ViewingCounts), options.page)


class ViewingCounts(PostgresTrackingRecorder):
    """A view that keeps its position in the transaction of its changes."""

    def _create_table(self, curs):
        super()._create_table(curs)
        curs.execute(
            "CREATE TABLE IF NOT EXISTS viewing_counts"
            " (video_id text PRIMARY KEY, viewings bigint NOT NULL)"
        )

    def add(self, viewings, tracking):
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            for video_id, number in viewings.items():
                cursor.execute(
                    """INSERT INTO viewing_counts VALUES (%s, %s) ON CONFLICT (video_id)
                       DO UPDATE SET viewings = viewing_counts.viewings + excluded.viewings""",
                    (video_id, number),
                    prepare=True,
                )


class Consumer:
    def __init__(self, recorder, view, page):
        self.recorder = recorder
        self.view = view
        self.page = page

    def run(self):
        position = 0
        while notifications := self.recorder.select_notifications(
            start=position, limit=self.page, inclusive_of_start=False
        ):
            viewings = Counter(json.loads(each.state)["videoId"] for each in notifications)
            position = notifications[-1].id
            self.view.add(viewings, Tracking("viewings", position))

    def counted(self):
        with self.view.datastore.cursor() as cursor:
            cursor.execute("SELECT coalesce(sum(viewings), 0) AS counted FROM viewing_counts")
            return int(cursor.fetchone()["counted"])
