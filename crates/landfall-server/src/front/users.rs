//! Who may come in, and what each may do. Users are set in the settings file and do not change while the server runs.
//! A password is kept as its hash only, compared in constant time, and never shown.

use std::fmt;

use sha2::{Digest, Sha256};

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights(u8);

impl Rights {
    /// Only what concerns the own connection.
    pub const NONE: Rights = Rights(0);
    /// Commands that read data.
    pub const READ: Rights = Rights(1);
    /// Commands that change data.
    pub const WRITE: Rights = Rights(1 << 1);
    /// Commands that change how the server works, or show what others do.
    pub const ADMIN: Rights = Rights(1 << 2);
    /// Everything.
    pub const ALL: Rights = Rights(0b111);

    /// The rights that a user can be given, with their names.
    pub const NAMES: [(Rights, &'static str); 3] =
        [(Rights::READ, "read"), (Rights::WRITE, "write"), (Rights::ADMIN, "admin")];

    /// These and those.
    #[must_use]
    pub const fn and(self, more: Rights) -> Rights {
        Rights(self.0 | more.0)
    }

    /// Whether all of those are among these.
    #[inline]
    pub const fn has(self, asked: Rights) -> bool {
        self.0 & asked.0 == asked.0
    }

    /// The right of this name.
    pub fn named(name: &str) -> Option<Rights> {
        Rights::NAMES.iter().find(|(_, known)| *known == name).map(|(right, _)| *right)
    }

    /// The names of these rights.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Rights::NAMES.into_iter().filter(move |(right, _)| self.has(*right)).map(|(_, name)| name)
    }
}

/// The SHA-256 of a password, as Redis keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash([u8; 32]);

impl PasswordHash {
    /// Of this password.
    pub fn of(password: &[u8]) -> PasswordHash {
        PasswordHash(Sha256::digest(password).into())
    }

    /// Written in 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<PasswordHash> {
        let mut hash = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).ok()?;
            if digits.starts_with('+') {
                return None;
            }
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(PasswordHash(hash))
    }

    /// In hexadecimal digits.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether both are the same. Every byte is compared, so that the time tells nothing.
    fn is(&self, other: &PasswordHash) -> bool {
        let differs = self.0.iter().zip(other.0).fold(0, |differs, (own, byte)| differs | (own ^ byte));
        std::hint::black_box(differs) == 0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// One user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// What it may give as its password; none: whoever connects is this user without a login.
    pub passwords: Vec<PasswordHash>,
    /// What it may do.
    pub rights: Rights,
}

/// The user of connections that name none.
pub const DEFAULT_USER: &str = "default";

/// All users.
#[derive(Debug, Clone, Default)]
pub struct Users(Vec<User>);

impl Users {
    /// These users, by name.
    pub fn new(mut users: Vec<User>) -> Users {
        users.sort_by(|one, other| one.name.cmp(&other.name));
        Users(users)
    }

    /// Nobody at all.
    pub const fn nobody() -> Users {
        Users(Vec::new())
    }

    /// A server that asks nobody for a password.
    pub fn open() -> Users {
        Users(vec![User { name: DEFAULT_USER.to_owned(), passwords: Vec::new(), rights: Rights::ALL }])
    }

    /// Adds a user.
    #[must_use]
    pub fn with(self, user: User) -> Users {
        let mut users = self.0;
        users.push(user);
        Users::new(users)
    }

    /// All users by name, with their numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &User> {
        self.0.iter()
    }

    /// The user of this number.
    pub fn get(&self, number: usize) -> Option<&User> {
        self.0.get(number)
    }

    /// The user of this name.
    pub fn named(&self, name: &[u8]) -> Option<&User> {
        self.0.iter().find(|user| user.name.as_bytes() == name)
    }

    /// Who a connection is before it logs in, if anybody.
    pub fn without_login(&self) -> Option<usize> {
        self.0.iter().position(|user| user.name == DEFAULT_USER && user.passwords.is_empty())
    }

    /// The number of the user that this password belongs to. A name that nobody has costs as much as one with a wrong
    /// password.
    pub fn login(&self, name: &[u8], password: &[u8]) -> Option<usize> {
        let given = PasswordHash::of(password);
        let mut found = None;
        for (number, user) in self.0.iter().enumerate() {
            let is_right = user.passwords.iter().fold(false, |right, own| right | own.is(&given));
            if (is_right | user.passwords.is_empty()) & (user.name.as_bytes() == name) {
                found = Some(number);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, passwords: &[&str]) -> User {
        let passwords = passwords.iter().map(|password| PasswordHash::of(password.as_bytes())).collect();
        User { name: name.to_owned(), passwords, rights: Rights::READ }
    }

    #[test]
    fn a_login_needs_the_name_and_one_of_its_passwords() {
        let users = Users::new(vec![user("zoe", &["new", "old"]), user("amy", &["a"])]);
        let named = |name: &str, password: &str| {
            let number = users.login(name.as_bytes(), password.as_bytes())?;
            users.get(number).map(|user| user.name.clone())
        };
        assert_eq!(named("zoe", "new").as_deref(), Some("zoe"));
        assert_eq!(named("zoe", "old").as_deref(), Some("zoe"));
        for (name, password) in [("zoe", "a"), ("amy", "new"), ("amy", ""), ("", "a"), ("default", "a")] {
            assert_eq!(named(name, password), None, "{name} {password}");
        }
        assert_eq!(users.without_login(), None);
        assert_eq!(users.with(user(DEFAULT_USER, &[])).without_login(), Some(1));
    }

    #[test]
    fn a_hash_is_that_of_sha256sum_and_is_not_shown() {
        let hash = PasswordHash::of(b"secret");
        let hex = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
        assert_eq!(hash.to_hex(), hex);
        assert_eq!(PasswordHash::from_hex(hex), Some(hash.clone()));
        assert!(hash.is(&hash) && !hash.is(&PasswordHash::of(b"other")));
        for text in ["", "2b", &hex.replace('2', "g"), &hex.replacen("2b", "+b", 1), &format!("{hex}00")] {
            assert_eq!(PasswordHash::from_hex(text), None, "{text}");
        }
        assert!(!format!("{:?}", user("a", &["secret"])).contains("2b"));
    }

    #[test]
    fn rights_have_the_names_that_a_file_gives_them() {
        assert_eq!(Rights::ALL.names().collect::<Vec<_>>(), ["read", "write", "admin"]);
        assert_eq!(Rights::named("write"), Some(Rights::WRITE));
        assert!(Rights::READ.and(Rights::WRITE).has(Rights::WRITE) && !Rights::READ.has(Rights::WRITE));
        assert!(Rights::NONE.names().next().is_none());
    }
}
