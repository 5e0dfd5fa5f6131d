//! What several targets make of their input: cuts, names, numbers and values.
//! It must never refuse an input that a target could still use.

use arbitrary::{Result, Unstructured};
use bigdecimal::BigDecimal;
use landfall::model::{Name, Value};

const CUTS_MAX: u8 = 6;
/// Cutting at every byte costs the square of the length.
const CUT_EVERYWHERE_BYTES_MAX: usize = 256;

/// Places at which an input is cut, in rising order.
pub(super) fn cuts(choices: &mut Unstructured<'_>) -> Vec<usize> {
    let count = choices.arbitrary::<u8>().unwrap_or_default() % (CUTS_MAX + 1);
    let mut cuts: Vec<usize> =
        (0..count).map(|_| choices.arbitrary::<u8>().unwrap_or_default().into()).collect();
    cuts.sort_unstable();
    cuts
}

/// Every place of an input, when it is short.
pub(super) fn every_byte(input: &[u8]) -> Vec<usize> {
    (0..input.len().min(CUT_EVERYWHERE_BYTES_MAX)).collect()
}

/// One of a few names, so that changes meet.
pub(super) fn name(choices: &mut Unstructured<'_>) -> Result<Name> {
    Ok(Name::column(choices.choose(&["a", "b", "c", ""])?))
}

/// An exact number.
pub(super) fn number(choices: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match choices.int_in_range(0..=3u8)? {
        0 => Value::Int(choices.arbitrary::<i8>()?.into()),
        1 => Value::Int(choices.arbitrary()?),
        2 => Value::Int(*choices.choose(&[i64::MIN, i64::MAX])?),
        _ => {
            let scale = choices.int_in_range(0..=40i64)?;
            Value::decimal(BigDecimal::new(choices.arbitrary::<i128>()?.into(), scale))
        }
    })
}

/// A value of any kind.
pub(super) fn value(choices: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match choices.int_in_range(0..=5u8)? {
        0 => Value::Null,
        1 => Value::Bool(choices.arbitrary()?),
        2 => Value::Float(choices.arbitrary()?),
        3 => Value::from(choices.arbitrary::<&str>()?),
        4 => Value::bytes(choices.arbitrary()?),
        _ => number(choices)?,
    })
}
