//! Replies as a client receives them: cut anywhere, they must mean what the whole means.
//! It must never read from a reply what writing it again would not give.

use arbitrary::Unstructured;
use landfall_resp::{DecodedReply, Protocol, ReplyDecoder, ReplyError, ReplyLimits, ReplyWriter, Value};

use super::input::{cuts, every_byte};

pub(crate) fn run(input: &[u8]) {
    let mut choices = Unstructured::new(input);
    let cuts = cuts(&mut choices);
    let bytes = choices.take_rest();
    let whole = decode(bytes, &[]);
    // NaN is not equal to itself, so replies are compared as they print.
    let shown = format!("{whole:?}");
    assert_eq!(format!("{:?}", decode(bytes, &cuts)), shown, "cut at {cuts:?}");
    assert_eq!(format!("{:?}", decode(bytes, &every_byte(bytes))), shown, "cut at every byte");

    // What a server writes is one reply a value, whatever bytes the value holds.
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let mut written = Vec::new();
        whole.0.iter().for_each(|value| ReplyWriter::new(&mut written, protocol).value(value));
        let (again, error, left) = decode(&written, &[]);
        assert_eq!((again.len(), error, left), (whole.0.len(), None, 0), "{protocol:?}: {written:?}");
    }
}

fn decode(input: &[u8], cuts: &[usize]) -> (Vec<Value>, Option<ReplyError>, usize) {
    let mut decoder = ReplyDecoder::new(ReplyLimits::default());
    let (mut replies, mut unparsed, mut received) = (Vec::new(), Vec::new(), 0);
    for cut in cuts.iter().copied().filter(|cut| *cut <= input.len()).chain([input.len()]) {
        unparsed.extend_from_slice(&input[received..cut.max(received)]);
        received = cut.max(received);
        loop {
            match decoder.decode(&unparsed) {
                Ok(DecodedReply::Complete { value, consumed }) => {
                    assert!(consumed > 0);
                    replies.push(value);
                    unparsed.drain(..consumed);
                }
                Ok(DecodedReply::Incomplete { needed_bytes_hint }) => {
                    assert!(needed_bytes_hint > 0);
                    break;
                }
                Err(error) => return (replies, Some(error), 0),
            }
        }
    }
    (replies, None, unparsed.len())
}
