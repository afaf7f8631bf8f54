"""Copies the events of an application that compresses or encrypts them, into the table of another one,
which does neither."""

from dog_school import DogSchool, address


class PlainDogSchool(DogSchool):
    """Its table is plaindogschool_events."""


def main():
    school = DogSchool(env=address())
    copy = PlainDogSchool(env={**address(), "COMPRESSOR_TOPIC": "", "CIPHER_TOPIC": ""})
    position = 0
    while page := school.recorder.select_notifications(start=position, limit=1000, inclusive_of_start=False):
        position = page[-1].id
        events = [school.mapper.to_domain_event(stored) for stored in page]
        copy.recorder.insert_events([copy.mapper.to_stored_event(event) for event in events])
    copy.close()
    school.close()


if __name__ == "__main__":
    main()
