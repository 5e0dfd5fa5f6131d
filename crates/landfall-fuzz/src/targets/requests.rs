//! Requests as a server receives them: cut anywhere, they must mean what the whole means.
//! It must never accept what it would not write itself.

use arbitrary::Unstructured;
use landfall_resp::{Decoded, Limits, ProtocolError, RequestDecoder, encode_request};

use super::input::{cuts, every_byte};

type Requests = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>, usize);

pub(crate) fn run(input: &[u8]) {
    let mut choices = Unstructured::new(input);
    let limits = limits(&mut choices);
    let cuts = cuts(&mut choices);
    let bytes = choices.take_rest();
    let whole = decode(bytes, &[], limits);
    assert_eq!(decode(bytes, &cuts, limits), whole, "cut at {cuts:?}");
    assert_eq!(decode(bytes, &every_byte(bytes), limits), whole, "cut at every byte");

    let mut written = Vec::new();
    whole.0.iter().for_each(|args| encode_request(&mut written, args));
    let all = Limits { request_bytes_max: u32::MAX, ..Limits::authenticated() };
    assert_eq!(decode(&written, &[], all), (whole.0, None, 0), "what was understood can be written again");
}

fn limits(choices: &mut Unstructured<'_>) -> Limits {
    let flags: u8 = choices.arbitrary().unwrap_or_default();
    let limits = if flags & 1 == 0 { Limits::authenticated() } else { Limits::unauthenticated() };
    let request_bytes_max = if flags & 4 == 0 { limits.request_bytes_max } else { 30 };
    Limits { inline: flags & 2 != 0, request_bytes_max, ..limits }
}

/// Feeds the bytes in pieces that end at `cuts`, as a server does: what was consumed goes, new bytes are added.
fn decode(input: &[u8], cuts: &[usize], limits: Limits) -> Requests {
    let mut decoder = RequestDecoder::new(limits);
    let (mut requests, mut unparsed, mut received) = (Vec::new(), Vec::new(), 0);
    for cut in cuts.iter().copied().filter(|cut| *cut <= input.len()).chain([input.len()]) {
        unparsed.extend_from_slice(&input[received..cut.max(received)]);
        received = cut.max(received);
        loop {
            let taken = match decoder.decode(&unparsed) {
                Ok(Decoded::Complete { request, consumed }) => {
                    assert_eq!(request.wire_bytes(), &unparsed[..consumed]);
                    assert!(request.arg_count() > 0);
                    requests.push(request.args().map(<[u8]>::to_vec).collect());
                    consumed
                }
                Ok(Decoded::Skip { consumed }) => consumed,
                Ok(Decoded::Incomplete { needed_bytes_hint }) => {
                    assert!(needed_bytes_hint > 0);
                    break;
                }
                Err(error) => return (requests, Some(error), 0),
            };
            assert!(taken > 0);
            unparsed.drain(..taken);
        }
        // A length alone costs nothing, however large it is. An inline request of one-letter words has a range of eight bytes
        // for every two that came, and a vector grows by doubling.
        assert!(decoder.held_bytes() <= 16 * input.len() + 256, "{} bytes held", decoder.held_bytes());
    }
    (requests, None, unparsed.len())
}
