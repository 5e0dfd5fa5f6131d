//! The settings of the server's doors: where it listens, and who may come in.
//! They are part of the one table, and only that names them.

use super::{AuthClients, Flag, Form, Setting, choose, chosen, path};
use crate::config::listen::{addresses, permissions, show};
use crate::config::text::{Amount, amount, count, duration, show_duration, show_size, size};

/// `listen`.
pub(super) const LISTEN: Setting = Setting {
    name: "listen",
    flag: Flag::Serve,
    form: Form::Text("IP:PORT"),
    default: "127.0.0.1:5263",
    doc: "The address for Redis clients, several with commas, or off; port 0 takes a free one. Others than this machine need a password. With tls-cert each speaks TLS, but those written redis://IP:PORT",
    reason: "Nobody else can connect until you decide so",
    set: |draft, text| addresses(text).map(|found| draft.listen = found),
    show: |draft| Some(show(&draft.listen)),
};

/// `unixsocket`.
pub(super) const UNIXSOCKET: Setting = Setting {
    name: "unixsocket",
    flag: Flag::Serve,
    form: Form::Text("PATH"),
    default: "",
    doc: "A socket in the file system for Redis clients of this machine",
    reason: "none: addresses are what clients expect",
    set: |draft, text| path(text).map(|path| draft.unixsocket = Some(path)),
    show: |draft| draft.unixsocket.as_ref().map(|path| path.display().to_string()),
};

/// `unixsocketperm`.
pub(super) const UNIXSOCKETPERM: Setting = Setting {
    name: "unixsocketperm",
    flag: Flag::None,
    form: Form::Text("MODE"),
    default: "600",
    doc: "The permissions of unixsocket, as chmod takes them",
    reason: "Who runs the server decides who else may connect",
    set: |draft, text| permissions(text).map(|mode| draft.unixsocketperm = mode),
    show: |draft| Some(format!("{:o}", draft.unixsocketperm)),
};

/// `maxclients`.
pub(super) const MAXCLIENTS: Setting = Setting {
    name: "maxclients",
    flag: Flag::None,
    form: Form::Count { of: None },
    default: "10_000",
    doc: "So many clients may be connected at once, if the system allows so many open files; one more is refused",
    reason: "As in Redis; a connection that rests takes about one kilobyte here, and some more in the system",
    set: |draft, text| match count(text)? {
        0 => Err("write at least 1".to_owned()),
        number @ ..=100_000 => {
            usize::try_from(number).map(|number| draft.maxclients = number).map_err(|error| error.to_string())
        }
        _ => Err("write at most 100_000".to_owned()),
    },
    show: |draft| Some(draft.maxclients.to_string()),
};

/// `maxmemory-clients`.
pub(super) const MAXMEMORY_CLIENTS: Setting = Setting {
    name: "maxmemory-clients",
    flag: Flag::None,
    form: Form::Size { of: Some("the memory available to the process") },
    default: "25%",
    doc: "The memory of requests and replies that are on their way; beyond it the clients that hold most are closed",
    reason: "Clients that never read, or never end a request, must not take the memory of the others",
    set: |draft, text| amount(text, size).map(|amount| draft.client_memory = amount),
    show: |draft| match draft.client_memory {
        Amount::Exactly(bytes) => Some(show_size(bytes)),
        Amount::Percent(percent) => Some(format!("{percent}%")),
    },
};

/// `idle-timeout`.
pub(super) const IDLE_TIMEOUT: Setting = Setting {
    name: "idle-timeout",
    flag: Flag::None,
    form: Form::Duration,
    default: "0s",
    doc: "A client that completes no request for so long is closed, unless it waits for an answer; 0s: never",
    reason: "As in Redis: pools keep connections open for hours, and one that rests costs little",
    set: |draft, text| duration(text).map(|time| draft.idle_timeout = time),
    show: |draft| match draft.idle_timeout.is_zero() {
        true => Some("0s".to_owned()),
        false => Some(show_duration(draft.idle_timeout)),
    },
};

/// `login-timeout`.
pub(super) const LOGIN_TIMEOUT: Setting = Setting {
    name: "login-timeout",
    flag: Flag::None,
    form: Form::Duration,
    default: "10s",
    doc: "A client that has to log in and has not after so long is closed",
    reason: "Clients log in at once; who does not keeps a place from others",
    set: |draft, text| match duration(text)? {
        time if time.is_zero() => Err("write at least 1ms".to_owned()),
        time => {
            draft.login_timeout = time;
            Ok(())
        }
    },
    show: |draft| Some(show_duration(draft.login_timeout)),
};

/// `password-file`.
pub(super) const PASSWORD_FILE: Setting = Setting {
    name: "password-file",
    flag: Flag::Global(None),
    form: Form::Text("FILE"),
    default: "",
    doc: "A file with the password that clients must give; commands read it too",
    reason: "None: only this machine can reach the default address",
    set: |draft, text| path(text).map(|path| draft.password_file = Some(path)),
    show: |draft| draft.password_file.as_ref().map(|path| path.display().to_string()),
};

/// `username`.
pub(super) const USERNAME: Setting = Setting {
    name: "username",
    flag: Flag::Global(None),
    form: Form::Text("NAME"),
    default: "default",
    doc: "The user that commands log in as, with the password of password-file",
    reason: "The one whose password the server's own password-file holds",
    set: |draft, text| match text.is_empty() {
        true => Err("name a user".to_owned()),
        false => {
            draft.username = text.to_owned();
            Ok(())
        }
    },
    show: |draft| Some(draft.username.clone()),
};

/// `tls-cert`.
pub(super) const TLS_CERT: Setting = Setting {
    name: "tls-cert",
    flag: Flag::Serve,
    form: Form::Text("FILE"),
    default: "",
    doc: "The certificate of the server, with those between it and its authority, in PEM; clients then connect with rediss://",
    reason: "none: the default address is this machine's",
    set: |draft, text| path(text).map(|path| draft.tls_cert = Some(path)),
    show: |draft| draft.tls_cert.as_ref().map(|path| path.display().to_string()),
};

/// `tls-key`.
pub(super) const TLS_KEY: Setting = Setting {
    name: "tls-key",
    flag: Flag::Serve,
    form: Form::Text("FILE"),
    default: "",
    doc: "The key of tls-cert, in PEM",
    reason: "none, as there is no certificate",
    set: |draft, text| path(text).map(|path| draft.tls_key = Some(path)),
    show: |draft| draft.tls_key.as_ref().map(|path| path.display().to_string()),
};

/// `tls-ca`.
pub(super) const TLS_CA: Setting = Setting {
    name: "tls-ca",
    flag: Flag::Global(None),
    form: Form::Text("FILE"),
    default: "",
    doc: "The certificates by which commands trust a server with TLS, and by which the server knows its clients if tls-auth-clients asks for that, in PEM",
    reason: "Commands take tls-cert, if that is set here, or else those of the system",
    set: |draft, text| path(text).map(|path| draft.tls_ca = Some(path)),
    show: |draft| draft.tls_ca.as_ref().map(|path| path.display().to_string()),
};

/// `tls-auth-clients`.
pub(super) const TLS_AUTH_CLIENTS: Setting = Setting {
    name: "tls-auth-clients",
    flag: Flag::Serve,
    form: Form::Choice("no|optional|yes"),
    default: "no",
    doc: "Whether clients have to show a certificate that tls-ca has signed: yes, optional (one that is shown has to be right), or no",
    reason: "Clients log in with passwords; tls-ca may be there for the commands alone",
    set: |draft, text| choose(&AUTH_CLIENTS, text).map(|whether| draft.tls_auth_clients = whether),
    show: |draft| chosen(&AUTH_CLIENTS, &draft.tls_auth_clients),
};

const AUTH_CLIENTS: [(&str, AuthClients); 3] =
    [("no", AuthClients::No), ("optional", AuthClients::Optional), ("yes", AuthClients::Yes)];

/// `tls-client-cert`.
pub(super) const TLS_CLIENT_CERT: Setting = Setting {
    name: "tls-client-cert",
    flag: Flag::Global(None),
    form: Form::Text("FILE"),
    default: "",
    doc: "The certificate that commands show to a server whose tls-auth-clients asks for one, in PEM",
    reason: "none: few servers ask for one",
    set: |draft, text| path(text).map(|path| draft.tls_client_cert = Some(path)),
    show: |draft| draft.tls_client_cert.as_ref().map(|path| path.display().to_string()),
};

/// `tls-client-key`.
pub(super) const TLS_CLIENT_KEY: Setting = Setting {
    name: "tls-client-key",
    flag: Flag::Global(None),
    form: Form::Text("FILE"),
    default: "",
    doc: "The key of tls-client-cert, in PEM",
    reason: "none, as there is no certificate",
    set: |draft, text| path(text).map(|path| draft.tls_client_key = Some(path)),
    show: |draft| draft.tls_client_key.as_ref().map(|path| path.display().to_string()),
};
