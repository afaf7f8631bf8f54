"""pgmq's SQL, as its Python package ships it; what is measured then is in ../pgmq/."""

import psycopg
from pgmq.install import install_pgmq_from_sql


def prepare():
    with psycopg.connect() as database:
        install_pgmq_from_sql(conn=database)
