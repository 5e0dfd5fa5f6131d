//! The fingerprint of a server's certificate that a login is bound to: its hash with the hash of its own signature.
//! It never guesses: a certificate whose signature leaves the hash open, or that cannot be read, has none.
//!
//! RFC 5929, section 4.1: MD5 and SHA-1 count as SHA-256. RFC 5280, section 4.1: a certificate is a sequence of what is
//! signed, the algorithm of the signature, and the signature.

use sha2::{Digest, Sha256, Sha384, Sha512};

/// The tag of a sequence, and of an object identifier.
const SEQUENCE: u8 = 0x30;
const OBJECT: u8 = 0x06;

enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// Algorithms of signatures, by their object identifiers.
const ALGORITHMS: [(&[u8], Hash); 9] = [
    // 1.2.840.113549.1.1: RSA with MD5, SHA-1, SHA-256, SHA-384, SHA-512.
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04", Hash::Sha256),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", Hash::Sha256),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", Hash::Sha256),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", Hash::Sha384),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", Hash::Sha512),
    // 1.2.840.10045.4: ECDSA with SHA-1, SHA-256, SHA-384, SHA-512.
    (b"\x2a\x86\x48\xce\x3d\x04\x01", Hash::Sha256),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x02", Hash::Sha256),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x03", Hash::Sha384),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x04", Hash::Sha512),
];

/// The fingerprint of a certificate in DER.
pub(super) fn of(certificate: &[u8]) -> Option<Vec<u8>> {
    let (inside, _) = element(certificate, SEQUENCE)?;
    let (_, behind) = element(inside, SEQUENCE)?;
    let (algorithm, _) = element(behind, SEQUENCE)?;
    let (object, _) = element(algorithm, OBJECT)?;
    let (_, hash) = ALGORITHMS.iter().find(|(known, _)| *known == object)?;
    Some(match hash {
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    })
}

/// What the first element holds, if it has this tag, and what is behind it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        short if short < 0x80 => (usize::from(short), rest),
        long => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            let fits = !digits.is_empty() && digits.len() <= 4;
            let length = digits.iter().fold(0usize, |length, &digit| length << 8 | usize::from(digit));
            fits.then_some((length, rest))?
        }
    };
    let (inside, behind) = rest.split_at_checked(length)?;
    (first == tag).then_some((inside, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate as far as anybody reads it here.
    fn certificate(object: &[u8]) -> Vec<u8> {
        let wrap = |tag: u8, inside: &[u8]| {
            let mut out = vec![tag, 0x82, (inside.len() >> 8) as u8, inside.len() as u8];
            out.extend_from_slice(inside);
            out
        };
        let parts = [wrap(SEQUENCE, &[7; 300]), wrap(SEQUENCE, &wrap(OBJECT, object)), wrap(3, &[0; 64])];
        wrap(SEQUENCE, &parts.concat())
    }

    #[test]
    fn the_hash_is_that_of_the_signature_and_never_a_weak_one() {
        let of_algorithm = |at: usize| of(&certificate(ALGORITHMS[at].0)).unwrap().len();
        let lengths: Vec<_> = (0..ALGORITHMS.len()).map(of_algorithm).collect();
        assert_eq!(lengths, [32, 32, 32, 48, 64, 32, 32, 48, 64]);
        // Ed25519 has no hash of its own.
        assert_eq!(of(&certificate(b"\x2b\x65\x70")), None);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let whole = certificate(ALGORITHMS[2].0);
        for cut in 0..whole.len() {
            let _ = of(&whole[..cut]);
            let mut odd = whole.clone();
            odd[cut] = 0xff;
            let _ = of(&odd);
        }
        assert_eq!(of(&[SEQUENCE, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
