"""An application of the library eventsourcing. Its settings are the library's own environment variables,
its address libpq's."""

import os

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event


class Dog(Aggregate):
    @event("Registered")
    def __init__(self, name):
        self.name = name
        self.tricks = []

    @event("TrickAdded")
    def add_trick(self, trick, details):
        self.tricks.append(trick)


class Kennel(Aggregate):
    class Built(Aggregate.Created):
        places: int

    class Extended(Aggregate.Event):
        places: int

        def apply(self, aggregate):
            aggregate.places += self.places

    def __init__(self, places):
        self.places = places


class DogSchool(Application):
    pass


def address():
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": os.environ["PGDATABASE"],
        "POSTGRES_HOST": os.environ["PGHOST"],
        "POSTGRES_PORT": os.environ.get("PGPORT", "5432"),
        "POSTGRES_USER": os.environ["PGUSER"],
        "POSTGRES_PASSWORD": os.environ.get("PGPASSWORD", ""),
    }
