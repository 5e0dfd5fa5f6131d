//! What follows from the settings of the server's doors together: places, who may come in, and what is refused.
//! It must never let a place be open to others that nobody guards.

use std::net::Ipv4Addr;

use super::places::{DEFAULT_PORT, ServerAddress};
use super::table::{AuthClients, Draft};
use super::{Resolver, memory};
use crate::front::listen::Place;
use crate::front::settings::{ClientCertificates, FrontSettings, TlsFiles};
use crate::front::users::DEFAULT_USER;

/// The settings of the loop.
pub(super) fn front(draft: &Draft) -> FrontSettings {
    let client_bytes_max = draft.client_memory.of(memory::available_bytes());
    let files = draft.tls_cert.clone().zip(draft.tls_key.clone());
    FrontSettings {
        places: places(draft),
        tls: files.map(|(cert, key)| TlsFiles { cert, key, clients: client_certificates(draft) }),
        connections_max: draft.maxclients,
        client_bytes_max: usize::try_from(client_bytes_max).unwrap_or(usize::MAX),
        idle_max: draft.idle_timeout,
        login_max: draft.login_timeout,
    }
}

fn client_certificates(draft: &Draft) -> Option<ClientCertificates> {
    let required = match draft.tls_auth_clients {
        AuthClients::No => return None,
        AuthClients::Optional => false,
        AuthClients::Yes => true,
    };
    Some(ClientCertificates { ca: draft.tls_ca.clone()?, required })
}

fn places(draft: &Draft) -> Vec<Place> {
    // With a certificate nothing is in the clear unless that is said.
    let with_tls = draft.tls_cert.is_some();
    let network = draft.listen.iter().map(|listen| match listen.encrypted.unwrap_or(with_tls) {
        true => Place::Tls(listen.address),
        false => Place::Tcp(listen.address),
    });
    let unix =
        draft.unixsocket.iter().map(|path| Place::Unix { path: path.clone(), mode: draft.unixsocketperm });
    network.chain(unix).collect()
}

/// The server that commands with the same settings talk to.
pub(super) fn usual_server(draft: &Draft) -> ServerAddress {
    match (places(draft).first(), &draft.unixsocket) {
        (Some(Place::Tcp(address)), _) => ServerAddress::reaching(*address, false),
        (_, Some(path)) => ServerAddress::Unix(path.clone()),
        (Some(Place::Tls(address)), None) => ServerAddress::reaching(*address, true),
        _ => ServerAddress::reaching((Ipv4Addr::LOCALHOST, DEFAULT_PORT).into(), false),
    }
}

impl Resolver<'_> {
    pub(super) fn check_doors(&mut self) {
        let open = self.draft.listen.iter().find(|listen| !listen.address.ip().is_loopback());
        if let (Some(open), true) = (open, self.is_open_to_all()) {
            let sentence = format!(
                "listen = \"{open}\" can be reached by other machines, and there is no password; \
                 write one into a file and give --password-file FILE, or listen on 127.0.0.1"
            );
            self.refuse("listen", sentence);
        }
        if self.draft.password_file.is_some() && self.draft.users.iter().any(|user| user.name == DEFAULT_USER)
        {
            let sentence =
                "password-file and [user.default] both say how the default user logs in; leave one out";
            self.refuse("password-file", sentence.to_owned());
        }
        let encrypted = self.draft.listen.iter().any(|listen| listen.encrypted == Some(true));
        match (&self.draft.tls_cert, &self.draft.tls_key) {
            (Some(_), None) => {
                self.refuse("tls-cert", "tls-cert needs its key; give --tls-key FILE".to_owned())
            }
            (None, Some(_)) => {
                self.refuse("tls-key", "tls-key needs its certificate; give --tls-cert FILE".to_owned())
            }
            (None, None) if encrypted => {
                let sentence =
                    "listen with rediss:// needs a certificate; give --tls-cert FILE and --tls-key FILE";
                self.refuse("listen", sentence.to_owned());
            }
            _ => {}
        }
        self.check_certificates_of_clients();
        if self.draft.listen.is_empty() && self.draft.unixsocket.is_none() && !self.failed.contains(&"listen")
        {
            let sentence = "listen = \"off\" leaves no place to connect to; give --unixsocket PATH as well";
            self.refuse("listen", sentence.to_owned());
        }
    }

    fn check_certificates_of_clients(&mut self) {
        if self.draft.tls_auth_clients != AuthClients::No {
            if self.draft.tls_ca.is_none() {
                let sentence = "tls-auth-clients needs the authority that signs the certificates of clients; give --tls-ca FILE";
                self.refuse("tls-auth-clients", sentence.to_owned());
            }
            if self.draft.tls_cert.is_none() {
                let sentence = "tls-auth-clients asks for certificates over TLS, and there is none; give --tls-cert FILE and --tls-key FILE";
                self.refuse("tls-auth-clients", sentence.to_owned());
            }
        }
        match (&self.draft.tls_client_cert, &self.draft.tls_client_key) {
            (Some(_), None) => {
                let sentence = "tls-client-cert needs its key; give --tls-client-key FILE";
                self.refuse("tls-client-cert", sentence.to_owned());
            }
            (None, Some(_)) => {
                let sentence = "tls-client-key needs its certificate; give --tls-client-cert FILE";
                self.refuse("tls-client-key", sentence.to_owned());
            }
            _ => {}
        }
    }

    /// Whether somebody who connects may do something without a password.
    fn is_open_to_all(&self) -> bool {
        let users = &self.draft.users;
        match users.iter().find(|user| user.name == DEFAULT_USER) {
            Some(default) => default.passwords.is_empty(),
            None => users.is_empty() && self.draft.password_file.is_none(),
        }
    }
}
