"""Writes a hundred events. Prints what the library reads then, an event a line."""

import json
from uuid import UUID

from dog_school import Dog, DogSchool, Kennel, address


def main():
    school = DogSchool(env=address())
    dogs = [Dog(f"Hündin {n}") for n in range(4)]
    kennel = Kennel._create(Kennel.Built, places=10)
    school.save(*dogs, kennel)
    for n in range(19):
        for dog in dogs:
            dog.add_trick(f'roll "{n}"\n', {"n": n, "who": UUID(int=n), "tags": (1, None, True)})
        kennel.trigger_event(Kennel.Extended, places=n)
        school.save(*dogs, kennel)
    for stored in school.recorder.select_notifications(start=1, limit=1000):
        print(json.dumps({
            "originator_id": str(stored.originator_id),
            "topic": stored.topic,
            "data": json.loads(stored.state) if stored.state[:1] == b"{" else None,
        }))
    school.close()


if __name__ == "__main__":
    main()
