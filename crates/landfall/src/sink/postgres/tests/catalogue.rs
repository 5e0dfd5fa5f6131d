//! What the catalogue says of tables that are out of the ordinary, and that landing and loading believe it.
//! Every table here is one that a real database has somewhere.

use super::*;
use crate::model::{landing_groups, mapping};
use crate::sink::conformance::{Owner, event, op, put, row};

fn fixture(test: &str, schema: &str) -> Option<(Fixture, Catalogue)> {
    let fixture = with(test, schema)?;
    let catalogue = fixture.catalogue().unwrap();
    Some((fixture, catalogue))
}

#[test]
fn tables_of_other_schemas_are_known_by_both_names_and_land() {
    let schema = "CREATE SCHEMA first; CREATE SCHEMA other; CREATE SCHEMA \"Odd.One\";
        CREATE TABLE item (id int PRIMARY KEY, n int);
        CREATE TABLE other.item (id int PRIMARY KEY, n int REFERENCES item ON DELETE CASCADE);
        CREATE TABLE \"Odd.One\".\"It's\" (id int PRIMARY KEY, n int);
        CREATE TABLE first.early (id int PRIMARY KEY, n int);
        DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = first, public', current_database()); END $$;";
    let test = "tables_of_other_schemas_are_known_by_both_names_and_land";
    let Some((fixture, catalogue)) = fixture(test, schema) else { return };
    let names: Vec<_> = catalogue.tables().iter().map(|table| table.name.to_string()).collect();
    assert_eq!(names, ["Odd.One.It's", "early", "item", "other.item"]);
    let reference = &catalogue.table("other.item").unwrap().references[0];
    assert_eq!((&*reference.table, reference.cascades), ("item", true));
    let groups: Vec<_> = landing_groups(&catalogue, 4).into_iter().map(|group| group.name).collect();
    assert!(groups.contains(&"item+other.item".to_owned()), "{groups:?}");
    assert!(mapping::resolve(&catalogue, b"other.item:7").is_ok_and(|target| target
        == mapping::Target::Row(Arc::clone(catalogue.table("other.item").unwrap()), vec![Value::Int(7)])));
    let mut owner = Owner::new(&fixture);
    let tables = ["item", "other.item", "Odd.One.It's", "early"];
    owner
        .land(tables.iter().map(|table| op(&row(table, 1), put(&[("n", Value::Int(1))]))).collect())
        .unwrap();
    for table in tables {
        assert_eq!(owner.cell(&row(table, 1), "n"), "1", "{table}");
    }
    let count = "SELECT (SELECT count(*) FROM public.item) + (SELECT count(*) FROM other.item) \
        + (SELECT count(*) FROM first.early) + (SELECT count(*) FROM \"Odd.One\".\"It's\")";
    assert_eq!(fixture.psql(count), "4");
}

#[test]
fn a_key_that_has_two_spellings_is_no_key() {
    let schema =
        "CREATE COLLATION blurred (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TABLE folded (name text COLLATE blurred PRIMARY KEY, n int);
        CREATE TABLE exact (name text COLLATE \"C\" PRIMARY KEY, note text COLLATE blurred);
        CREATE TABLE counted (at numeric PRIMARY KEY); CREATE TABLE spans (at interval PRIMARY KEY);
        CREATE TABLE documents (at jsonb PRIMARY KEY); CREATE TABLE lists (at int[] PRIMARY KEY);
        CREATE TABLE padded (at char(4) PRIMARY KEY, n int); CREATE TABLE hosts (at inet PRIMARY KEY, n int);
        CREATE TABLE computed (n int, at int GENERATED ALWAYS AS (n * 2) STORED PRIMARY KEY);
        CREATE TABLE upper (id int PRIMARY KEY); CREATE TABLE lower (extra int) INHERITS (upper);";
    let Some((fixture, catalogue)) = fixture("a_key_that_has_two_spellings_is_no_key", schema) else {
        return;
    };
    for (table, part) in [
        ("folded", "two spellings"),
        ("counted", "no one spelling"),
        ("spans", "no one spelling"),
        ("documents", "no one spelling"),
        ("lists", "no one spelling"),
        ("computed", "computed by the database"),
        ("upper", "inherit"),
        ("lower", "no primary key"),
    ] {
        let reason = catalogue.table(table).unwrap().keyless_reason.clone().unwrap_or_default();
        assert!(reason.contains(part), "{table}: {reason}");
        let refused = mapping::resolve(&catalogue, format!("{table}:1").as_bytes()).unwrap_err();
        assert!(refused.contains("XADD"), "{refused}");
    }
    for table in ["exact", "padded", "hosts"] {
        assert_eq!(catalogue.table(table).unwrap().keyless_reason, None, "{table}");
    }
    let key = |key: &str| mapping::resolve(&catalogue, key.as_bytes()).unwrap_err();
    assert!(key("padded:ab ").contains("spaces at the end"));
    assert!(key("hosts:10.0.0.1/32").contains("write 10.0.0.1"));
    let mut owner = Owner::new(&fixture);
    for (table, key) in [("padded", "ab"), ("hosts", "10.0.0.1"), ("hosts", "10.0.0.0/8")] {
        let row = RowKey::of_table(table, &[key.into()]);
        owner.change(&row, put(&[("n", Value::Int(3))])).unwrap();
        assert_eq!((owner.cell(&row, "n"), owner.cell(&row, "at")), ("3".into(), key.into()));
    }
    owner.land(vec![event("folded", &[("name", "a".into())])]).unwrap();
    assert_eq!(fixture.psql("SELECT name FROM folded"), "a");
}

#[test]
fn citext_is_a_column_like_any_other_and_no_key() {
    let Some(fixture) = with("citext_is_a_column_like_any_other_and_no_key", "") else { return };
    if fixture.server.psql(&fixture.name, "CREATE EXTENSION citext SCHEMA public").is_err() {
        // This PostgreSQL came without the extensions.
        return;
    }
    fixture.psql("CREATE TABLE public.user_name (name citext PRIMARY KEY); CREATE TABLE public.t (id int PRIMARY KEY, name citext UNIQUE); CREATE TABLE lost (id int PRIMARY KEY)");
    let catalogue = fixture.catalogue().unwrap();
    assert!(catalogue.table("user_name").unwrap().keyless_reason.as_ref().unwrap().contains("citext"));
    // The search path begins with the schema that is named like the user, and here that is Landfall's own.
    assert!(catalogue.unmapped()[0].table == "lost" && catalogue.unmapped()[0].reason.contains("SET SCHEMA"));
    let mut owner = Owner::new(&fixture);
    owner.change(&row("t", 1), put(&[("name", "Alice".into())])).unwrap();
    assert_eq!(owner.cell(&row("t", 1), "name"), "Alice");
}

#[test]
fn what_an_insert_needs_is_known_through_domains_identities_and_defaults() {
    let schema = "CREATE TYPE mood AS ENUM ('good', 'bad');
        CREATE DOMAIN required AS int NOT NULL; CREATE DOMAIN inner_required AS required;
        CREATE DOMAIN filled AS int DEFAULT 5; CREATE DOMAIN outer_filled AS filled NOT NULL;
        CREATE TABLE t (id int PRIMARY KEY, a required, b inner_required, c filled, d outer_filled,
          e int GENERATED BY DEFAULT AS IDENTITY, f int GENERATED ALWAYS AS IDENTITY, g mood NOT NULL DEFAULT 'bad',
          h bytea NOT NULL DEFAULT '\\xff', i timestamptz NOT NULL DEFAULT '2025-10-01 11:19:00+02', j int NOT NULL DEFAULT 1 + 1,
          k int[] NOT NULL DEFAULT '{}', l text NOT NULL)";
    let test = "what_an_insert_needs_is_known_through_domains_identities_and_defaults";
    let Some((fixture, catalogue)) = fixture(test, schema) else { return };
    let table = catalogue.table("t").unwrap();
    let needed: Vec<&str> = table.required_columns().map(|column| &*column.name).collect();
    assert_eq!(needed, ["id", "a", "b", "l"]);
    let column = |name: &str| table.column(name).unwrap();
    assert!(column("f").generated && !column("e").generated);
    assert_eq!(column("g").default, Some("bad".into()));
    assert_eq!(column("h").default, Some(Value::bytes(&[0xff])));
    assert_eq!(column("i").default, Some("2025-10-01T09:19:00".into()));
    assert_eq!((column("j").default.clone(), column("k").default.clone()), (None, Some("{}".into())));
    let mut owner = Owner::new(&fixture);
    let columns = [("a", Value::Int(1)), ("b", Value::Int(2)), ("l", "x".into())];
    owner.change(&row("t", 1), put(&columns)).unwrap();
    for (name, expected) in
        [("a", "1"), ("b", "2"), ("c", "5"), ("d", "5"), ("e", "1"), ("f", "1"), ("g", "bad")]
    {
        assert_eq!(owner.cell(&row("t", 1), name), expected, "{name}");
    }
}

#[test]
fn a_table_that_the_user_may_not_read_is_left_out_with_the_grant_that_it_needs() {
    let schema = "CREATE TABLE open (id int PRIMARY KEY); CREATE TABLE closed (id int PRIMARY KEY);
        CREATE SCHEMA locked; CREATE TABLE locked.away (id int PRIMARY KEY); DROP ROLE IF EXISTS landfall_reader;
        CREATE ROLE landfall_reader LOGIN PASSWORD 'reads'; GRANT SELECT ON open TO landfall_reader;";
    let test = "a_table_that_the_user_may_not_read_is_left_out_with_the_grant_that_it_needs";
    let Some((mut fixture, _)) = fixture(test, schema) else { return };
    fixture.database.settings.user = "landfall_reader".into();
    fixture.database.settings.password = Some("reads".into());
    let catalogue = fixture.catalogue().unwrap();
    let names: Vec<_> = catalogue.tables().iter().map(|table| table.name.to_string()).collect();
    assert_eq!(names, ["open"]);
    let unmapped = &catalogue.unmapped()[0];
    assert!(unmapped.table == "closed" && unmapped.reason.contains("GRANT SELECT"), "{unmapped:?}");
}

#[test]
fn an_event_is_once_where_request_id_is_unique_and_deferrable() {
    let schema = "CREATE TABLE click (request_id text UNIQUE DEFERRABLE INITIALLY DEFERRED, url text)";
    let Some((fixture, _)) = fixture("an_event_is_once_where_request_id_is_unique_and_deferrable", schema)
    else {
        return;
    };
    let mut owner = Owner::new(&fixture);
    let click = |id: &str| event("click", &[("request_id", id.into()), ("url", "/".into())]);
    owner.land(vec![click("1"), click("2"), click("1")]).unwrap();
    owner.land(vec![click("2"), click("3")]).unwrap();
    assert_eq!(fixture.psql("SELECT string_agg(request_id, '' ORDER BY request_id) FROM click"), "123");
}

#[test]
fn a_deferrable_primary_key_decides_no_conflict_and_lands_all_the_same() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, n int, tags int[])";
    let test = "a_deferrable_primary_key_decides_no_conflict_and_lands_all_the_same";
    let Some((fixture, _)) = fixture(test, schema) else { return };
    let mut owner = Owner::new(&fixture);
    for n in [1, 2] {
        owner.change(&row("t", 1), put(&[("n", Value::Int(n)), ("tags", "{1,2}".into())])).unwrap();
    }
    assert_eq!(
        (owner.cell(&row("t", 1), "n"), owner.cell(&row("t", 1), "tags")),
        ("2".into(), "{1,2}".into())
    );
}
