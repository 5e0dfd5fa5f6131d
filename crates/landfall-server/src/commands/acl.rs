//! ACL: which commands a user's rights are for, and what users there are. Users are changed in the settings file only.
//! A password or its hash is shown to administrators only, and never the password.

use landfall::engine::Engine;
use landfall_resp::{ReplyWriter, Request};

use super::Flow;
use super::spec::{Flags, Group, Spec};
use super::table::everything;
use crate::front::session::Session;
use crate::front::shared::Shared;
use crate::front::users::{Rights, User};

/// The right that a command needs: what the table says that it may do.
fn needed(spec: &Spec) -> Rights {
    let has = |flag| spec.flags.has(flag);
    match spec.group {
        _ if has(Flags::ADMIN) => Rights::ADMIN,
        _ if has(Flags::WRITE) || matches!(spec.name, "LANDFALL.FLUSH" | "PUBLISH") => Rights::WRITE,
        _ if has(Flags::READONLY) => Rights::READ,
        // They concern the own connection, or are public.
        Group::Connection | Group::Transactions | Group::Server => Rights::NONE,
        _ => Rights::READ,
    }
}

/// Whether these rights are enough for a command.
pub fn allows(rights: Rights, spec: &Spec) -> bool {
    rights.has(needed(spec))
}

/// Refuses a command that the user has no right to.
pub fn refuse(session: &Session, spec: &Spec, reply: &mut ReplyWriter<'_>) {
    Shared::count(&session.shared.denied_commands);
    reply.error_fmt(format_args!(
        "NOPERM User {} has no permissions to run the '{}' command",
        name(session),
        spec.full_name()
    ));
}

fn name(session: &Session) -> &str {
    session.user().map_or("", |user| &user.name)
}

/// ACL WHOAMI
pub fn whoami(session: &mut Session, _: &Engine, _: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    reply.bulk(name(session).as_bytes());
    Flow::Done
}

/// ACL LIST
pub fn list(session: &mut Session, _: &Engine, _: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    let users = session.shared.users().iter();
    reply.array_header(users.len());
    users.for_each(|user| reply.bulk(rule(user).as_bytes()));
    Flow::Done
}

/// ACL USERS
pub fn users(session: &mut Session, _: &Engine, _: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    let users = session.shared.users().iter();
    reply.array_header(users.len());
    users.for_each(|user| reply.bulk(user.name.as_bytes()));
    Flow::Done
}

/// ACL GETUSER name
pub fn getuser(
    session: &mut Session,
    _: &Engine,
    request: &Request<'_>,
    reply: &mut ReplyWriter<'_>,
) -> Flow {
    match session.shared.users().named(&request[2]) {
        Some(user) => describe(user, reply),
        None => reply.null(),
    }
    Flow::Done
}

/// What would change users.
pub fn refused(_: &mut Session, _: &Engine, _: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    reply.error("ERR users are set in landfall.toml, as [user.NAME], and taken at the next start");
    Flow::Done
}

/// The categories of commands, and the right that each needs.
const CATEGORIES: [(&str, Rights); 4] = [
    ("read", Rights::READ),
    ("write", Rights::WRITE),
    ("admin", Rights::ADMIN),
    ("connection", Rights::NONE),
];

/// `ACL CAT [category]`
pub fn cat(_: &mut Session, _: &Engine, request: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    let Some(category) = request.arg(2) else {
        reply.array_header(CATEGORIES.len());
        CATEGORIES.iter().for_each(|(category, _)| reply.bulk(category.as_bytes()));
        return Flow::Done;
    };
    let found = CATEGORIES.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(category));
    let Some((_, right)) = found else {
        reply.error("ERR Unknown category; ACL CAT lists them");
        return Flow::Done;
    };
    // Of a command with subcommands each has its own right.
    let commands: Vec<&Spec> =
        everything().filter(|spec| spec.subcommands.is_empty() && needed(spec) == *right).collect();
    reply.array_header(commands.len());
    commands.iter().for_each(|spec| reply.bulk(spec.full_name().as_bytes()));
    Flow::Done
}

/// The rights in the words of Redis's rules.
fn commands(rights: Rights) -> String {
    if rights == Rights::ALL {
        return "+@all".to_owned();
    }
    let named = rights.names().map(|name| format!(" +@{name}"));
    ["-@all".to_owned(), " +@connection".to_owned()].into_iter().chain(named).collect()
}

/// A user in one line, as Redis writes it into its file of users.
fn rule(user: &User) -> String {
    let passwords = match user.passwords.as_slice() {
        [] => " nopass".to_owned(),
        hashes => hashes.iter().map(|hash| format!(" #{}", hash.to_hex())).collect(),
    };
    format!("user {} on{passwords} ~* &* {}", user.name, commands(user.rights))
}

fn describe(user: &User, reply: &mut ReplyWriter<'_>) {
    reply.map_header(6);
    reply.bulk(b"flags");
    let flags: &[&str] = if user.passwords.is_empty() { &["on", "nopass"] } else { &["on"] };
    reply.set_header(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    reply.array_header(user.passwords.len());
    user.passwords.iter().for_each(|hash| reply.bulk(hash.to_hex().as_bytes()));
    for (name, value) in [("commands", commands(user.rights).as_str()), ("keys", "~*"), ("channels", "&*")] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"selectors");
    reply.array_header(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::spec::Handler;

    #[test]
    fn every_command_needs_the_right_that_people_expect() {
        for (name, right) in [
            ("get", Rights::READ),
            ("hgetall", Rights::READ),
            ("watch", Rights::READ),
            ("set", Rights::WRITE),
            ("getdel", Rights::WRITE),
            ("xadd", Rights::WRITE),
            ("landfall.add", Rights::WRITE),
            ("landfall.flush", Rights::WRITE),
            ("config|get", Rights::ADMIN),
            ("client|list", Rights::ADMIN),
            ("client|kill", Rights::ADMIN),
            ("client|setname", Rights::NONE),
            ("acl|list", Rights::ADMIN),
            ("acl|whoami", Rights::NONE),
            ("slowlog|get", Rights::ADMIN),
            ("subscribe", Rights::READ),
            ("publish", Rights::WRITE),
            ("landfall.pause", Rights::ADMIN),
            ("landfall.reload", Rights::ADMIN),
            ("landfall.deadletters", Rights::ADMIN),
            ("landfall.evict", Rights::ADMIN),
            ("landfall.status", Rights::READ),
            ("memory|usage", Rights::READ),
            ("wait", Rights::READ),
            ("ping", Rights::NONE),
            ("exec", Rights::NONE),
            ("info", Rights::NONE),
        ] {
            let found = everything().find(|spec| spec.full_name() == name);
            assert_eq!(found.map(needed), Some(right), "{name}");
        }
    }

    #[test]
    fn nothing_that_touches_rows_is_free() {
        for spec in everything().filter(|spec| matches!(spec.handler, Handler::Data(_))) {
            assert_ne!(needed(spec), Rights::NONE, "{}", spec.full_name());
        }
    }

    #[test]
    fn a_user_is_written_as_redis_writes_it() {
        let user = |rights| User { name: "amy".into(), passwords: Vec::new(), rights };
        assert_eq!(rule(&user(Rights::ALL)), "user amy on nopass ~* &* +@all");
        let both = Rights::READ.and(Rights::WRITE);
        assert_eq!(rule(&user(both)), "user amy on nopass ~* &* -@all +@connection +@read +@write");
    }
}
