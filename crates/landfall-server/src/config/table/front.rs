//! The settings of the server's doors: where it listens, and who may come in.
//! They are part of the one table, and only that names them.

use super::{Flag, Form, Setting, addresses, listen, path};

/// `listen`.
pub(super) const LISTEN: Setting = Setting {
    name: "listen",
    flag: Flag::Serve,
    form: Form::Text("IP:PORT"),
    default: "127.0.0.1:5263",
    doc: "The address for Redis clients, several with commas, or off; port 0 takes a free one. Others than this machine need a password",
    reason: "Nobody else can connect until you decide so",
    set: |draft, text| addresses(text).map(|found| draft.listen = found),
    show: |draft| Some(listen::show(&draft.listen)),
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
    set: |draft, text| listen::permissions(text).map(|mode| draft.unixsocketperm = mode),
    show: |draft| Some(format!("{:o}", draft.unixsocketperm)),
};
