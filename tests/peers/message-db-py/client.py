"""What tests/tests/clients.rs asks of every client, through message-db-py."""

import os
import re
import sys

from message_db.client import MessageDB

category, _protocol, _path, count = sys.argv[1:]
stream = f"{category}-1"


def say(*words):
    print(*words, flush=True)


store = MessageDB(
    dbname=os.environ["PGDATABASE"],
    user=os.environ["PGUSER"],
    host=os.environ["PGHOST"],
    port=int(os.environ["PGPORT"]),
)
for number in range(3):
    say("write", store.write(stream, "Noted", {"number": number}, expected_version=number - 1))

# psycopg2 puts the values into the statement: it knows no other protocol.
say("format", "text")
for message in store.read_stream(stream):
    say("read", message["position"], message["type"], message["data"]["number"])

try:
    store.write(stream, "Noted", {}, expected_version=7)
except ValueError as error:
    state, text = re.fullmatch(r"(\w+)-ERROR:\s+(.*)", str(error)).groups()
    say("conflict", state, text)

say("following")
seen = position = 0
while seen < int(count):
    for message in store.read_category(category, position + 1, 10):
        seen, position = seen + 1, message["global_position"]
        say("follow", position)
say("done")
