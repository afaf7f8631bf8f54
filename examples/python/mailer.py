"""Sends a mail for each message of the category order, once. See ../README.md."""

import json
import os

import psycopg
from psycopg.errors import ObjectNotInPrerequisiteState as LeaseLost
from psycopg.rows import namedtuple_row

SUBSCRIBER = "services:mailer"
BATCH_SIZE = 10
LEASE = os.environ.get("LEASE_S", "30") + " s"


class CannotBeMailed(Exception):
    pass


def send_mail(database, message):
    """The table stands for the mail service. Like most, it takes a key: a mail of
    the same message is not sent again."""
    order = json.loads(message.data)
    if not order.get("email"):
        raise CannotBeMailed("the order has no email")
    sent = database.execute(
        """INSERT INTO public.mails (message_id, recipient, subject)
           VALUES (%s, %s, %s) ON CONFLICT (message_id) DO NOTHING""",
        (message.id, order["email"], message.type),
    )
    print("mailed" if sent.rowcount else "mailed before", message.global_position, flush=True)


def handle_next(database):
    messages = database.execute(
        "SELECT * FROM message_store.fetch(%s, %s, %s)",
        (SUBSCRIBER, BATCH_SIZE, LEASE),
    ).fetchall()
    for message in messages:
        try:
            send_mail(database, message)
        except CannotBeMailed as error:
            database.execute(
                "SELECT message_store.park(%s, %s, %s, %s)",
                (SUBSCRIBER, message.global_position, str(error), message.lease),
            )
            print("parked", message.global_position, flush=True)
            break  # the lease has ended: what is left comes again
        database.execute(
            "SELECT message_store.ack(%s, %s, %s)",
            (SUBSCRIBER, message.global_position, message.lease),
        )
    return len(messages)


def main():
    # With autocommit each call is a transaction of its own.
    with psycopg.connect(
        os.environ["DATABASE_URL"], autocommit=True, row_factory=namedtuple_row
    ) as database:
        last_drawn = 0
        while True:
            try:
                if handle_next(database) > 0:
                    continue
            except LeaseLost:
                print("too slow: somebody else may have these messages now", flush=True)
                continue
            waited = database.execute(
                "CALL message_store.wait_for_messages(%s, '500 ms', NULL)", (last_drawn,)
            )
            last_drawn = waited.fetchone().last


main()
