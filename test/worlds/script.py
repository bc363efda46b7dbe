"""script.py: a world as a script that a person can paste."""


def sql(statements):
    return "".join(f"{s};\n" for s in statements)


def step_text(step):
    do = step["do"]
    if do == "tx":
        return "psql source <<'SQL'\nBEGIN;\n" + sql(step["sql"]) + "COMMIT;\nSQL\n"
    if do == "hold":
        return f"# another session of the target: BEGIN; {step['sql']};  -- and stay\n"
    if do == "release":
        return "# that session of the target: ROLLBACK;\n"
    if do == "start":
        return "walpipe run -c world.conf &\n"
    if do == "kill":
        return f"kill -KILL the program {step['program']}\n"
    if do == "resync":
        return (f"# table {step['number']} modulo their number of walpipe.tables: damaged behind the note\n"
                f"walpipe resync -c world.conf --table TABLE{' --wait' if step.get('wait') else ''}\n")
    if do == "stop":
        return "kill -TERM walpipe; wait\n"
    if do == "config":
        return "# world.conf is now: " + ", ".join(f"{k} = {v}" for k, v in step["config"].items()) + "\n"
    if do == "remap":
        return "psql target <<'SQL'\n" + sql(step["sql"]) + "SQL\n# map is now: " + ", ".join(
            f"public.{s} -> public.{t}" for s, t in step["map"].items()) + "\n"
    if do == "target":
        return "psql target <<'SQL'\n" + sql(step["sql"]) + "SQL\n"
    return f"# {do}" + (f" {step['seconds']} s" if "seconds" in step else "") + "\n"


def text(world):
    mapped = ", ".join(f"public.{s} -> public.{t}" for u in world["units"] for s, t in u["map"].items())
    config = dict(world["config"], **({"map": mapped} if mapped else {}))
    out = [f"# world {world['name']}: source PostgreSQL {world['source']}, target {world['target']}, "
           f"sink's role {world['role']}", "# config: " + ", ".join(f"{k} = {v}" for k, v in config.items()),
           "psql source <<'SQL'\n" + "".join(sql(u["source"]) for u in world["units"]) + sql([world["publication"], *world.get("more publications", [])]) +
           "SELECT pg_create_logical_replication_slot('world', 'pgoutput');\nSQL",
           "psql target <<'SQL'\n" + "".join(sql(u["target"]) for u in world["units"]) + "SQL"]
    if world.get("sink", "pg") != "pg":
        out[-1] = f"# in ClickHouse ({world['sink']}, create_tables = yes):\n" + "".join(
            sql(u["ch"]) for u in world["units"])
    return "\n".join(out) + "\n" + "".join(step_text(s) for s in world["steps"])
