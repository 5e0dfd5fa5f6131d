//! TLS to PostgreSQL: what is let in, what is refused, and that nothing goes on in plain text instead.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use super::*;
use crate::sink::postgres::settings::PostgresPlace;

/// A file among the certificates for tests, which the server's own tests use too.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../landfall-server/tests/tls").join(name)
}

fn text(name: &str) -> Vec<u8> {
    std::fs::read(file(name)).unwrap()
}

/// A server of its own with TLS, and an empty database in it.
struct Encrypted {
    server: Postgres,
    database: String,
}

impl Encrypted {
    fn new(test: &str) -> Option<Encrypted> {
        if Postgres::find().is_none() {
            let test = format!("sink::postgres::tests::encrypted::{test}");
            landfall_sim::skipping::skipped(&test, "this machine has no postgres");
            return None;
        }
        let server = Postgres::start().unwrap();
        let database = server.new_database().unwrap();
        let encrypted = Encrypted { server, database };
        encrypted.shows("server.pem");
        Some(encrypted)
    }

    fn shows(&self, cert: &str) {
        self.server.encrypt(&file(cert), &file("server.key"), &file("client-ca.pem")).unwrap();
    }

    fn settings(&self, parameters: &str) -> PostgresSettings {
        let url = format!("{}?{parameters}", self.server.url(&self.database));
        let mut settings = PostgresSettings::parse(&url).unwrap();
        settings.pem.root = text("ca.pem");
        settings
    }

    /// How the session is protected, as the server sees it.
    fn protection(&self, settings: PostgresSettings) -> Result<String, SinkError> {
        let mut wire = PostgresDatabase::new(settings, crate::env::real().clock).connect()?;
        let asked =
            "SELECT ssl || ' ' || coalesce(client_dn, '') FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let answers = wire.run(&[wire::Step::bare(asked)]).unwrap();
        Ok(String::from_utf8(answers[0].rows[0][0].clone().unwrap()).unwrap())
    }

    fn refusal(&self, settings: PostgresSettings) -> String {
        match self.protection(settings) {
            Err(SinkError::Unusable(words)) => {
                assert!(!words.contains("not-a-secret"), "{words}");
                words
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_connection_is_encrypted_and_bound_in_every_mode_that_asks_for_it() {
    let Some(encrypted) =
        Encrypted::new("a_connection_is_encrypted_and_bound_in_every_mode_that_asks_for_it")
    else {
        return;
    };
    // Nobody comes in without TLS.
    encrypted.server.admit("hostssl all all 127.0.0.1/32 scram-sha-256").unwrap();
    for parameters in
        ["sslmode=require", "sslmode=verify-ca", "sslmode=verify-full", "channel_binding=require"]
    {
        let protection = encrypted.protection(encrypted.settings(parameters));
        assert_eq!(protection.unwrap(), "true ", "{parameters}");
    }
    let refused = encrypted.refusal(encrypted.settings("sslmode=disable"));
    assert!(refused.contains("sslmode=verify-full"), "{refused}");
    // Large answers and large statements go through.
    let settings = encrypted.settings("sslmode=verify-full");
    let mut wire = PostgresDatabase::new(settings, crate::env::real().clock).connect().unwrap();
    let large = Some(vec![b'x'; 3 << 20]);
    let answers = wire.run(&[wire::Step::new("SELECT $1::text", vec![large.clone()])]).unwrap();
    assert_eq!(answers[0].rows[0][0], large);
}

#[test]
fn a_certificate_that_is_wrong_is_refused_in_words_and_nothing_goes_on_without() {
    let Some(encrypted) =
        Encrypted::new("a_certificate_that_is_wrong_is_refused_in_words_and_nothing_goes_on_without")
    else {
        return;
    };
    let refused = |parameters: &str, word: &str| {
        let words = encrypted.refusal(encrypted.settings(parameters));
        assert!(words.contains(word), "{parameters}: {words}");
    };
    let mut stranger = encrypted.settings("sslmode=verify-ca&sslrootcert=other-ca.pem");
    stranger.pem.root = text("other-ca.pem");
    assert!(encrypted.refusal(stranger).contains("sslrootcert=FILE"));
    let mut empty = encrypted.settings("sslmode=verify-full&sslrootcert=empty.pem");
    empty.pem.root = b"no certificate".to_vec();
    assert!(encrypted.refusal(empty).contains("holds no certificate"));
    encrypted.shows("elsewhere.pem");
    refused("sslmode=verify-full", "made out to");
    assert_eq!(encrypted.protection(encrypted.settings("sslmode=verify-ca")).unwrap(), "true ");
    encrypted.shows("expired.pem");
    refused("sslmode=verify-full", "renew it");
    refused("sslmode=verify-ca", "renew it");
    encrypted.server.psql("postgres", "ALTER SYSTEM SET ssl = off").unwrap();
    encrypted.server.admit("host all all 127.0.0.1/32 scram-sha-256").unwrap();
    for mode in ["require", "verify-ca", "verify-full"] {
        refused(&format!("sslmode={mode}"), "the server has no TLS");
    }
}

#[test]
fn without_a_verified_certificate_the_server_has_to_prove_itself_before_it_is_told_anything() {
    let Some(encrypted) = Encrypted::new(
        "without_a_verified_certificate_the_server_has_to_prove_itself_before_it_is_told_anything",
    ) else {
        return;
    };
    for method in ["password", "trust"] {
        encrypted.server.admit(&format!("hostssl all all 127.0.0.1/32 {method}")).unwrap();
        let refused = encrypted.refusal(encrypted.settings("sslmode=require"));
        assert!(refused.contains("sslmode=verify-full&sslrootcert=FILE"), "{refused}");
        let refused = encrypted.refusal(encrypted.settings("channel_binding=require"));
        assert!(refused.contains("bound to the connection"), "{refused}");
        assert_eq!(encrypted.protection(encrypted.settings("sslmode=verify-full")).unwrap(), "true ");
    }
}

#[test]
fn a_client_with_a_certificate_needs_no_password() {
    let Some(encrypted) = Encrypted::new("a_client_with_a_certificate_needs_no_password") else { return };
    encrypted.server.admit("hostssl all all 127.0.0.1/32 trust clientcert=verify-ca").unwrap();
    let with = |cert: &str| {
        let mut settings = encrypted.settings("sslmode=verify-full&sslcert=own.pem&sslkey=own.key");
        settings.password = None;
        settings.pem.own = Some((text(cert), text("client.key")));
        settings
    };
    let protection = encrypted.protection(with("client.pem")).unwrap();
    assert!(protection.starts_with("true /CN="), "{protection}");
    for cert in ["client-expired.pem", "client-stranger.pem"] {
        let refused = encrypted.protection(with(cert)).unwrap_err().to_string();
        assert!(refused.contains("sslcert") || refused.contains("pg_hba"), "{refused}");
    }
    let mut odd = with("client.pem");
    odd.pem.own = Some((text("client.pem"), text("server.key")));
    assert!(encrypted.refusal(odd).contains("do not go together"));
    let mut odd = with("client.pem");
    odd.pem.own = Some((text("client.pem"), b"not-a-secret".to_vec()));
    assert!(encrypted.refusal(odd).contains("holds no key"));
}

#[test]
fn the_first_of_several_servers_that_takes_writes_is_taken() {
    let Some(encrypted) = Encrypted::new("the_first_of_several_servers_that_takes_writes_is_taken") else {
        return;
    };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut settings = encrypted.settings("sslmode=disable&target_session_attrs=read-write");
    let place = |port| PostgresPlace::Tcp("127.0.0.1".into(), port);
    settings.places.insert(0, place(gone));
    // As a replica answers.
    let database = &encrypted.database;
    let read_only = format!("ALTER DATABASE {database} SET default_transaction_read_only =");
    encrypted.server.psql("postgres", &format!("{read_only} on")).unwrap();
    let Err(SinkError::Unavailable(words)) = encrypted.protection(settings.clone()) else { panic!() };
    assert!(words.contains("refused") && words.contains("is read-only"), "{words}");
    encrypted.server.psql("postgres", &format!("{read_only} off")).unwrap();
    settings.connect_timeout_ms = 2_000;
    settings.places.insert(0, place(silent.local_addr().unwrap().port()));
    assert_eq!(encrypted.protection(settings).unwrap(), "false ");
}
