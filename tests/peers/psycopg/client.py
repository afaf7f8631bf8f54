"""What tests/tests/clients.rs asks of every client, through psycopg 3."""

import json
import sys
from uuid import uuid4

import psycopg
from psycopg.types.json import Jsonb

category, protocol, path, count = sys.argv[1:]
stream = f"{category}-1"


def say(*words):
    print(*words, flush=True)


settings = dict(prepare_threshold=None) if path == "transaction" else {}
connection = psycopg.connect(autocommit=True, **settings)
cursor = connection.cursor(binary=protocol == "binary")


def call(sql, *values):
    return cursor.execute(sql.replace("%s", "%b" if protocol == "binary" else "%t"), values).fetchall()


def write(number, expected_version):
    return call(
        "SELECT message_store.write_message(%s, %s, %s, %s, %s, %s)",
        str(uuid4()), stream, "Noted", Jsonb({"number": number}), None, expected_version,
    )[0][0]  # fmt: skip


for number in range(3):
    say("write", write(number, number - 1))

rows = call(
    "SELECT position, type, data FROM message_store.get_stream_messages(%s, %s, %s)",
    stream, 0, 1000,
)  # fmt: skip
say("format", "binary" if cursor.pgresult.fformat(0) else "text")
for position, kind, data in rows:
    say("read", position, kind, json.loads(data)["number"])

try:
    write(0, 7)
except psycopg.Error as error:
    say("conflict", error.sqlstate, error.diag.message_primary)

say("following")
seen = position = 0
while seen < int(count):
    messages = call(
        "SELECT global_position FROM message_store.get_category_messages(%s, %s, %s)",
        category, position + 1, 10,
    )  # fmt: skip
    for (position,) in messages:
        seen += 1
        say("follow", position)
say("done")
