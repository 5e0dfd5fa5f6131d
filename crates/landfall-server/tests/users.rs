//! Users, their rights, and the admin token, against the real binary.
//! No test may find a password or a hash where it does not belong.

mod common;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use common::{PATIENCE, Place, Server};
use landfall_resp::Value;
use landfall_sim::client::{Client, request};

/// `printf %s secret | sha256sum`, of each of these passwords.
const SECRET: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
const PASSWORD: &str = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";

fn users(place: &Place) {
    place.write(
        "landfall.toml",
        &format!(
            "[user.reader]\npassword-sha256 = \"{SECRET}\"\nrights = [\"read\"]\n\
             [user.writer]\npassword-sha256 = [\"{SECRET}\", \"{PASSWORD}\"]\nrights = [\"read\", \"write\"]\n\
             [user.chief]\npassword-sha256 = \"{SECRET}\"\nrights = [\"admin\"]\n"
        ),
    );
}

fn client(server: &Server<'_>) -> Client {
    let address: SocketAddr = server.address.parse().unwrap();
    Client::connect(address, PATIENCE).unwrap()
}

fn call(client: &mut Client, words: &[&str]) -> Value {
    let answers = client.pipeline(&[request(words)]);
    answers[0].value().unwrap_or_else(|| panic!("{words:?}: the connection ended")).clone()
}

/// The whole of an error reply, or nothing.
fn error(value: &Value) -> String {
    value.as_error().map_or_else(String::new, |error| error.to_string())
}

fn ok() -> Value {
    Value::Simple(b"OK".to_vec())
}

fn texts(value: Value) -> Vec<String> {
    let (Value::Array(items) | Value::Set(items)) = value else { panic!("{value:?}") };
    items.iter().map(|item| String::from_utf8_lossy(item.as_bytes().unwrap()).into_owned()).collect()
}

#[test]
fn each_user_may_do_what_its_rights_say_and_nothing_else() {
    let place = Place::new();
    users(&place);
    let server = place.serve(&[]);
    let mut nobody = client(&server);
    assert_eq!(error(&call(&mut nobody, &["GET", "a"])), "NOAUTH Authentication required.");
    assert!(
        error(&call(&mut nobody, &["AUTH", "secret"])).starts_with("WRONGPASS"),
        "there is no default user"
    );

    let mut reader = client(&server);
    assert_eq!(call(&mut reader, &["AUTH", "reader", "secret"]), ok());
    assert_eq!(call(&mut reader, &["ACL", "WHOAMI"]).as_bytes(), Some(&b"reader"[..]));
    assert!(call(&mut reader, &["GET", "a"]).is_null());
    let denied = error(&call(&mut reader, &["SET", "a", "1"]));
    assert_eq!(denied, "NOPERM User reader has no permissions to run the 'set' command");
    for words in [&["ACL", "LIST"][..], &["CONFIG", "GET", "*"], &["LANDFALL.PAUSE"], &["LANDFALL.EVICT"]] {
        assert!(error(&call(&mut reader, words)).starts_with("NOPERM User reader"), "{words:?}");
    }
    // In a transaction it is refused at once, and EXEC refuses the whole.
    assert_eq!(call(&mut reader, &["MULTI"]), ok());
    assert!(error(&call(&mut reader, &["SET", "a", "1"])).starts_with("NOPERM"));
    assert!(error(&call(&mut reader, &["EXEC"])).starts_with("EXECABORT"));

    let mut writer = client(&server);
    assert_eq!(call(&mut writer, &["HELLO", "3", "AUTH", "writer", "password"]).as_error(), None);
    assert_eq!(call(&mut writer, &["SET", "a", "1"]), ok());
    assert!(error(&call(&mut writer, &["LANDFALL.PAUSE"])).starts_with("NOPERM"));
    assert_eq!(call(&mut writer, &["AUTH", "chief", "secret"]), ok(), "a connection may become another user");
    assert!(error(&call(&mut writer, &["SET", "a", "1"])).starts_with("NOPERM User chief"));
    assert_eq!(call(&mut writer, &["LANDFALL.PAUSE"]), ok());
    assert_eq!(call(&mut writer, &["RESET"]), Value::Simple(b"RESET".to_vec()));
    assert!(error(&call(&mut writer, &["PING"])).starts_with("NOAUTH"), "and with RESET it is nobody again");
    assert_eq!(call(&mut reader, &["GET", "a"]).as_bytes(), Some(&b"1"[..]));
    let info = server_info(&place, &server);
    assert!(info.contains("acl_access_denied_cmd:8") && info.contains("acl_access_denied_auth:1"), "{info}");
}

/// INFO, asked for by whoever can read the admin token.
fn server_info(place: &Place, server: &Server<'_>) -> String {
    let token = "landfall-data/admin-token";
    let login = ["--url", &server.address, "--username", "admin-token", "--password-file", token];
    let ended = place.run(&[&login[..], &["cli", "INFO"]].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.out
}

#[test]
fn administrators_see_users_in_the_words_of_redis() {
    let place = Place::new();
    users(&place);
    let server = place.serve(&[]);
    let mut chief = client(&server);
    assert_eq!(call(&mut chief, &["AUTH", "chief", "secret"]), ok());
    assert_eq!(texts(call(&mut chief, &["ACL", "USERS"])), ["admin-token", "chief", "reader", "writer"]);
    let list = texts(call(&mut chief, &["ACL", "LIST"]));
    assert!(list.contains(&format!("user reader on #{SECRET} ~* &* -@all +@connection +@read")), "{list:?}");
    let writer = call(&mut chief, &["ACL", "GETUSER", "writer"]).into_pairs().unwrap();
    assert_eq!(writer.len(), 6);
    assert_eq!(writer[2].1.as_bytes(), Some(&b"-@all +@connection +@read +@write"[..]));
    assert!(call(&mut chief, &["ACL", "GETUSER", "nobody"]).is_null());
    assert_eq!(texts(call(&mut chief, &["ACL", "CAT"])), ["read", "write", "admin", "connection"]);
    assert!(texts(call(&mut chief, &["ACL", "CAT", "write"])).contains(&"hset".to_owned()));
    assert!(error(&call(&mut chief, &["ACL", "SETUSER", "x"])).contains("landfall.toml"));
}

#[test]
fn users_without_a_default_one_shut_out_whoever_has_no_password() {
    let place = Place::new();
    users(&place);
    let server = place.serve(&[]);
    assert!(server.cli_ended(&["GET", "a"]).out.contains("NOAUTH"));
    drop(server);
    // A default user without a password is everybody, with its rights only.
    let open = format!(
        "[user.default]\nrights = [\"read\"]\n[user.w]\npassword-sha256 = \"{SECRET}\"\nrights = [\"write\"]\n"
    );
    place.write("landfall.toml", &open);
    let server = place.serve(&[]);
    assert_eq!(server.cli(&["ACL", "WHOAMI"]), "default");
    assert_eq!(server.cli(&["EXISTS", "a"]), "0");
    assert!(server.cli_ended(&["SET", "a", "1"]).out.contains("NOPERM"));
    place.write("secret", "secret\n");
    let login =
        ["--url", &server.address, "--username", "w", "--password-file", "secret", "cli", "SET", "a", "1"];
    place.write("landfall.toml", "");
    assert_eq!(place.run(&login).out, "OK\n");
}

#[test]
fn settings_of_users_that_make_no_sense_are_all_told_and_no_password_is_repeated() {
    let place = Place::new();
    place.write(
        "landfall.toml",
        "[user.a]\npassword = \"opensesame\"\nrights = [\"read\"]\n\
         [user.b]\npassword-sha256 = \"opensesame\"\nrights = [\"reed\"]\n\
         [user.\"c d\"]\nrights = [\"read\"]\n\
         [user.e]\nrihgts = []\n[user.admin-token]\nrights = []\n",
    );
    let ended = place.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(ended.code, Some(78), "{ended:?}");
    for said in [
        "sha256sum",
        "user.b.rights takes read, write and admin",
        "user.\"c d\" is no name",
        "did you mean rights?",
        "user.e has no password-sha256",
        "user.admin-token is the one of the file admin-token",
    ] {
        assert!(ended.err.contains(said), "{said}: {}", ended.err);
    }
    assert!(!ended.err.contains("opensesame"), "{}", ended.err);
    // Open to all and open to the network do not go together, whoever else has a password.
    place.write("landfall.toml", "[user.default]\nrights = [\"read\"]\n");
    let ended = place.run(&["serve", "--listen", "0.0.0.0:0"]);
    assert!(ended.code == Some(78) && ended.err.contains("there is no password"), "{ended:?}");
    users(&place);
    assert_eq!(place.run(&["--json", "config", "check"]).code, Some(0));
    let shown = place.run(&["config", "print"]);
    assert!(shown.out.contains("# user \"reader\": read") && !shown.out.contains(SECRET), "{shown:?}");
}

#[test]
fn the_first_start_makes_an_admin_token_that_only_its_owner_can_read() {
    let place = Place::new();
    users(&place);
    let server = place.serve(&[]);
    let path = place.path().join("landfall-data/admin-token");
    let token = std::fs::read_to_string(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut admin = client(&server);
    assert_eq!(call(&mut admin, &["AUTH", "admin-token", token.trim()]), ok());
    assert_eq!(call(&mut admin, &["LANDFALL.PAUSE"]), ok());
    assert!(!server.said().contains(token.trim()));
    server.terminate();
    let server = place.serve(&[]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), token, "the next start keeps it");
    server.terminate();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = place.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(refused.code == Some(69) && refused.err.contains("no secret any more"), "{refused:?}");
}

// shows: S10
#[test]
fn ten_thousand_guesses_from_one_address_are_looked_at_ten_times_and_then_once_a_second() {
    let place = Place::new();
    users(&place);
    let server = place.serve(&["--unixsocket", "run.sock"]);
    let mut good = client(&server);
    assert_eq!(call(&mut good, &["AUTH", "reader", "secret"]), ok());
    let begun = Instant::now();
    let mut looked_at = 0;
    let mut guesser = client(&server);
    for guess in 0..10_000 {
        let answer = error(&call(&mut guesser, &["AUTH", "reader", &format!("guess{guess}")]));
        looked_at += u64::from(answer == "WRONGPASS invalid username-password pair or user is disabled.");
        assert!(answer.starts_with("WRONGPASS"), "{answer}");
    }
    let most = 10 + begun.elapsed().as_secs() + 1;
    assert!((10..=most).contains(&looked_at), "{looked_at} of at most {most}");
    // Another connection is no help, and the right password neither: it was not looked at.
    assert!(
        error(&call(&mut client(&server), &["AUTH", "reader", "secret"])).contains("too many failed logins")
    );
    // The token of the administrator cannot be guessed, so nobody is kept out of the server by those who guess.
    let token = std::fs::read_to_string(place.path().join("landfall-data/admin-token")).unwrap();
    assert_eq!(call(&mut client(&server), &["AUTH", "admin-token", token.trim()]), ok());
    assert_ne!(call(&mut client(&server), &["AUTH", "admin-token", "secret"]), ok());
    // Who is in stays in, and whoever comes another way is let in.
    assert!(call(&mut good, &["GET", "a"]).is_null());
    place.write("password", "secret\n");
    let other = place.run(&[
        "--url",
        "unix:run.sock",
        "--username",
        "reader",
        "--password-file",
        "password",
        "cli",
        "PING",
    ]);
    assert_eq!(other.out, "PONG\n", "{other:?}");
}
