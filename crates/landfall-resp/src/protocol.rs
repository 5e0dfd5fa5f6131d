//! The protocol version a connection has agreed on.
//! It must never change on its own: only HELLO chooses it.

/// The version of RESP that a connection speaks, chosen by `HELLO 2` or `HELLO 3`.
///
/// ```
/// use landfall_resp::Protocol;
///
/// assert_eq!(Protocol::from_number(3), Some(Protocol::Resp3));
/// assert_eq!(Protocol::from_number(4), None); // answer `NOPROTO`
/// assert_eq!(Protocol::default().number(), 2); // before any HELLO
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// RESP2: strings, errors, integers and arrays. The version before any `HELLO`.
    #[default]
    Resp2,
    /// RESP3: adds null, doubles, booleans, maps, sets, pushes, verbatim strings and big numbers.
    Resp3,
}

impl Protocol {
    /// The version that `HELLO` names by this number, if there is one.
    pub fn from_number(number: i64) -> Option<Self> {
        match number {
            2 => Some(Self::Resp2),
            3 => Some(Self::Resp3),
            _ => None,
        }
    }

    /// The number by which `HELLO` names this version.
    pub fn number(self) -> i64 {
        match self {
            Self::Resp2 => 2,
            Self::Resp3 => 3,
        }
    }
}
