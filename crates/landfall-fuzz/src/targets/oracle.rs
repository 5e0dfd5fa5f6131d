//! Requests compared with another implementation, resp-rs.
//! Where the two differ on purpose, the difference is named here; it is never passed over in silence.

use landfall_resp::{Decoded, Limits, RequestDecoder};
use resp_rs::resp2::{Frame, parse_frame};

pub(crate) fn run(input: &[u8]) {
    let mut decoder = RequestDecoder::new(Limits::authenticated());
    let mut rest = input;
    loop {
        match decoder.decode(rest) {
            Ok(Decoded::Complete { request, consumed }) => {
                let args: Vec<Vec<u8>> = request.args().map(<[u8]>::to_vec).collect();
                assert_eq!(theirs(rest), Some((args, consumed)), "what we run");
                rest = &rest[consumed..];
            }
            // Redis passes over empty requests; to others they are arrays of nothing.
            Ok(Decoded::Skip { consumed }) => rest = &rest[consumed..],
            Ok(Decoded::Incomplete { .. }) => {
                assert_eq!(theirs(rest), None, "we wait for more of a whole request");
                return;
            }
            // We refuse more than they do: lengths above our limits.
            Err(_) => return,
        }
    }
}

/// Their first request, and its length; nothing when they find none.
fn theirs(input: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let (frame, rest) = parse_frame(input.to_vec().into()).ok()?;
    let Frame::Array(Some(items)) = frame else { return None };
    let args: Option<Vec<Vec<u8>>> = items
        .into_iter()
        .map(|item| match item {
            Frame::BulkString(Some(bytes)) => Some(bytes.to_vec()),
            _ => None,
        })
        .collect();
    Some((args.filter(|args| !args.is_empty())?, input.len() - rest.len()))
}
