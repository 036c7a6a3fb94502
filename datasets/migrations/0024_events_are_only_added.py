"""The database itself refuses to change or delete what is in the audit trail; only a deleted account leaves its rows nameless."""

from typing import Any

from django.db import migrations

SQLITE = (
    """CREATE TRIGGER datasets_event_unchanged BEFORE UPDATE ON datasets_event
    WHEN NEW.actor_id IS NOT NULL OR NEW.id IS NOT OLD.id OR NEW.at IS NOT OLD.at OR NEW.subject IS NOT OLD.subject
        OR NEW.subject_id IS NOT OLD.subject_id OR NEW.from_state IS NOT OLD.from_state OR NEW.to_state IS NOT OLD.to_state
        OR NEW.reason IS NOT OLD.reason
    BEGIN SELECT RAISE(ABORT, 'the audit trail is only added to'); END""",
    """CREATE TRIGGER datasets_event_undeleted BEFORE DELETE ON datasets_event
    BEGIN SELECT RAISE(ABORT, 'the audit trail is only added to'); END""",
)
POSTGRESQL = (
    """CREATE FUNCTION datasets_event_only_added() RETURNS trigger AS $$
    BEGIN
        IF TG_OP = 'UPDATE' AND NEW.actor_id IS NULL AND (NEW.id, NEW.at, NEW.subject, NEW.subject_id, NEW.from_state, NEW.to_state, NEW.reason)
            IS NOT DISTINCT FROM (OLD.id, OLD.at, OLD.subject, OLD.subject_id, OLD.from_state, OLD.to_state, OLD.reason) THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'the audit trail is only added to' USING ERRCODE = 'integrity_constraint_violation';
    END $$ LANGUAGE plpgsql""",
    """CREATE TRIGGER datasets_event_only_added BEFORE UPDATE OR DELETE ON datasets_event
    FOR EACH ROW EXECUTE FUNCTION datasets_event_only_added()""",
)
BACK = {
    "sqlite": ("DROP TRIGGER datasets_event_unchanged", "DROP TRIGGER datasets_event_undeleted"),
    "postgresql": ("DROP TRIGGER datasets_event_only_added ON datasets_event", "DROP FUNCTION datasets_event_only_added"),
}


def guard(apps: Any, schema_editor: Any) -> None:
    for statement in {"sqlite": SQLITE, "postgresql": POSTGRESQL}[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


def unguard(apps: Any, schema_editor: Any) -> None:
    for statement in BACK[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("datasets", "0023_job_log")]

    operations = [migrations.RunPython(guard, unguard)]
