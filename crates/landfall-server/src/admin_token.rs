//! The token of the administrator of this machine: made at the first start, in a file that only the owner can read.
//! It must never be shown, and never be made anew while the file is there.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::front::users::{PasswordHash, Rights, User};

/// Its file in the data directory.
pub const FILE: &str = "admin-token";
/// The user that it is the password of.
pub const USER: &str = "admin-token";
/// Chance in a token, in bytes; in the file each is two digits.
const TOKEN_BYTES: usize = 32;

/// The user that whoever can read the token may log in as.
///
/// # Errors
/// The system's, and a file that others can read or change.
pub fn user(data_dir: &Path) -> Result<User> {
    let path = data_dir.join(FILE);
    let token = match read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => make(&path)?,
        read => read?,
    };
    Ok(User {
        name: USER.to_owned(),
        passwords: vec![PasswordHash::of(token.as_bytes())],
        rights: Rights::ALL,
    })
}

fn options() -> OpenOptions {
    let mut options = File::options();
    options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    options
}

fn read(path: &Path) -> Result<String> {
    let mut file = options().read(true).open(path)?;
    if file.metadata()?.mode() & 0o077 != 0 {
        let advice =
            "others can read it, so it is no secret any more; delete it, and the next start makes another";
        return Err(Error::new(ErrorKind::PermissionDenied, advice));
    }
    let mut text = String::new();
    Read::by_ref(&mut file).take(4 * TOKEN_BYTES as u64).read_to_string(&mut text)?;
    let token = text.trim_end();
    if token.len() != 2 * TOKEN_BYTES {
        return Err(Error::new(
            ErrorKind::InvalidData,
            "it holds no token; delete it, and the next start makes one",
        ));
    }
    Ok(token.to_owned())
}

fn make(path: &Path) -> Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(Error::other)?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    // Under another name first, so that nobody ever sees half of it.
    let draft = path.with_extension("draft");
    let _ = std::fs::remove_file(&draft);
    let mut file = options().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(format!("{token}\n").as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let first = user(folder.path()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(user(folder.path()).unwrap(), first);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(user(folder.path()).unwrap_err().kind(), ErrorKind::PermissionDenied);
        std::fs::remove_file(&path).unwrap();
        assert_ne!(user(folder.path()).unwrap(), first);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(folder.path().join("elsewhere"), "x").unwrap();
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &path).unwrap();
        assert!(user(folder.path()).is_err(), "a link is not followed");
    }
}
