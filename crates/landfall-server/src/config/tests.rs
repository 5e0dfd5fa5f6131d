//! Tests of settings: order of the sources, all problems at once, one truth.

use super::*;

fn from_file(text: &str) -> Sources {
    Sources { file: Some(("landfall.toml".into(), text.to_owned())), ..Sources::default() }
}

fn problems(sources: &Sources) -> String {
    match resolve(sources) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn the_table_has_the_defaults_of_the_library() {
    let ours = resolve(&Sources::default()).map(|resolved| resolved.effective.settings).unwrap();
    let mut theirs = Settings::in_dir(DATA_DIR);
    // This one depends on the machine.
    theirs.memory_bytes_max = ours.memory_bytes_max;
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
}

#[test]
fn the_example_parses_and_equals_the_defaults() {
    let example = example();
    let active = |line: &str| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).map(str::to_owned);
    let lines: Vec<String> = example.lines().filter_map(active).collect();
    let with_default = SETTINGS.iter().filter(|setting| !setting.default.is_empty()).count();
    assert_eq!(lines.len(), with_default);
    let taken = resolve(&from_file(&lines.join("\n"))).map_err(|problems| problems.to_string()).unwrap();
    let untouched = resolve(&Sources::default()).map_err(|problems| problems.to_string()).unwrap();
    assert_eq!(format!("{:?}", taken.effective.settings), format!("{:?}", untouched.effective.settings));
    assert_eq!(taken.effective.database, untouched.effective.database);
    assert!(resolve(&from_file(&example)).is_ok(), "as it is, the example changes nothing");
    assert!(SETTINGS.iter().all(|setting| example.contains(setting.doc)));
}

#[test]
fn what_is_printed_can_be_read_again() {
    let text = "fsync = \"everysec\"\nmax-pending = 100_000\n[table.flight]\naudit = \"flight_log\"\nignore = [\"a\"]\nwarm = true\n";
    let first = resolve(&from_file(text)).map_err(|problems| problems.to_string()).unwrap();
    let printed = print(&first);
    assert!(printed.contains("landfall.toml:1"), "{printed}");
    assert!(printed.contains("throttle-at = 50000"), "{printed}");
    let again = resolve(&from_file(&printed)).map_err(|problems| problems.to_string()).unwrap();
    assert_eq!(format!("{:?}", first.effective.settings), format!("{:?}", again.effective.settings));
}

#[test]
fn a_flag_goes_before_a_variable_before_the_file_before_the_default() {
    let flush =
        |sources: &Sources| resolve(sources).ok().map(|resolved| resolved.effective.settings.flush_count);
    let mut sources = Sources::default();
    assert_eq!(flush(&sources), Some(500));
    sources.file = Some(("x.toml".into(), "flush-count = 1".into()));
    assert_eq!(flush(&sources), Some(1));
    sources.variables.insert("LANDFALL_FLUSH_COUNT".into(), "2".into());
    assert_eq!(flush(&sources), Some(2));
    sources.flags.push(("flush-count", "3".into()));
    assert_eq!(flush(&sources), Some(3));
}

#[test]
fn ten_mistakes_are_one_message_with_their_lines() {
    let text = r#"fsync = "sometimes"
flush-intervall = "200ms"
flush-interval = 200
flush-count = "many"
maxmemory = "12XB"
listen = "everywhere"
database = "mysql://me:secret@host/db"
buffer = "kafka://host"
lanes = 65
[table.flight]
audit = 7
ignor = ["x"]
"#;
    let message = problems(&from_file(text));
    assert!(message.starts_with("11 problems in the settings"), "{message}");
    for (line, part) in [
        (1, "always, everysec, os"),
        (2, "did you mean flush-interval?"),
        (3, "\"200ms\", not a bare number"),
        (4, "whole number"),
        (5, "1GiB"),
        (6, "127.0.0.1:5263"),
        (7, "MySQL is not built yet"),
        (8, "Kafka buffer is not built yet"),
        (9, "between 1 and 64"),
        (11, "name of a table"),
        (12, "did you mean ignore?"),
    ] {
        let place = format!("landfall.toml:{line}: ");
        let found = message.lines().any(|text| text.trim_start().starts_with(&place) && text.contains(part));
        assert!(found, "{place}{part} is missing in\n{message}");
    }
    assert!(!message.contains("secret"), "{message}");
}

#[test]
fn several_errors_of_grammar_are_told_with_their_lines() {
    let message = problems(&from_file("fsync = \nflush-count = 7\nflush-count = 8\nlanes == 4\n"));
    for place in ["landfall.toml:1: ", "landfall.toml:3: ", "landfall.toml:4: "] {
        assert!(message.contains(place), "{place} in {message}");
    }
}

#[test]
fn contradictions_are_told_where_they_were_written() {
    let message = problems(&from_file("max-pending = 10\n\nthrottle-at = 20\nlisten = \"0.0.0.0:5263\"\n"));
    assert!(message.contains("landfall.toml:3: throttle-at (20) is above max-pending (10)"), "{message}");
    assert!(message.contains("landfall.toml:4: listen"), "{message}");
    assert!(message.contains("--password-file"), "{message}");
    let message = problems(&from_file("buffer = \"local:a\"\ndata-dir = \"b\"\n"));
    assert!(message.contains("name two places for the log"), "{message}");
}

#[test]
fn nothing_is_concluded_from_a_value_that_cannot_be_read() {
    let message = problems(&from_file("max-pending = \"lots\"\nthrottle-at = 20_000_000\n"));
    assert!(message.starts_with("1 problem "), "{message}");
}

#[test]
fn a_misspelt_variable_is_refused_and_a_foreign_one_is_not() {
    let mut sources = Sources::default();
    sources.variables.insert("LANDFALL_HOMEPAGE".into(), "x".into());
    assert_eq!(problems(&sources), "");
    sources.variables.insert("LANDFALL_FSYNCH".into(), "always".into());
    assert!(problems(&sources).contains("did you mean LANDFALL_FSYNC?"));
}

#[test]
fn a_wrong_flag_is_a_usage_error_and_a_wrong_file_a_config_error() {
    let code = |sources: &Sources| {
        let error: anyhow::Error = resolve(sources).map(|_| ()).unwrap_err().into();
        crate::failure::exit_code(&error)
    };
    let flags = Sources { flags: vec![("buffer", "redis://h".into())], ..Sources::default() };
    assert_eq!(code(&flags), crate::failure::USAGE);
    assert_eq!(code(&from_file("buffer = \"redis://h\"")), crate::failure::CONFIG);
}

#[test]
fn the_throttle_follows_max_pending_and_the_database_follows_the_directory() {
    let sources = Sources {
        flags: vec![("max-pending", "100000".into()), ("data-dir", "elsewhere".into())],
        ..Sources::default()
    };
    let effective = resolve(&sources).map_err(|problems| problems.to_string()).unwrap().effective;
    assert_eq!(effective.settings.throttle_at, 50_000);
    assert_eq!(effective.database, DatabaseUrl::Sqlite("elsewhere/landfall.db".into()));
    let buffer = Sources { flags: vec![("buffer", "local:there".into())], ..Sources::default() };
    let effective = resolve(&buffer).map_err(|problems| problems.to_string()).unwrap().effective;
    assert_eq!(effective.settings.data_dir, PathBuf::from("there"));
}

#[test]
fn a_password_is_read_without_its_line_end_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "open sesame\n").unwrap();
    let file = path.to_str().unwrap().to_owned();
    let flags = vec![("password-file", file), ("listen", "0.0.0.0:7000".to_owned())];
    let resolved =
        resolve(&Sources { flags, ..Sources::default() }).map_err(|problems| problems.to_string()).unwrap();
    assert_eq!(resolved.effective.password.as_ref().map(Password::as_bytes), Some(&b"open sesame"[..]));
    assert_eq!(resolved.effective.server.to_string(), "127.0.0.1:7000");
    assert!(!format!("{:?}{}", resolved.effective, print(&resolved)).contains("sesame"));
    std::fs::write(&path, "\n").unwrap();
    let flags = vec![("password-file", path.to_str().unwrap().to_owned())];
    assert!(problems(&Sources { flags, ..Sources::default() }).contains("is empty"));
}

#[test]
fn names_and_variables_are_unique() {
    let mut names: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), SETTINGS.len());
}
