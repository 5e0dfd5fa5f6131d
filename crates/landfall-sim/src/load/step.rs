//! One step of a client: requests that go out together, and the operations that their replies decide.
//! It must never take a reply of an unexpected shape for an outcome.

use landfall_resp::Value;

use crate::checker::{Kind, Outcome, Reply};
use crate::client::{Answer, Effect, Request, request};

/// How the reply of an operation is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reading {
    /// Any reply that is no error.
    Done,
    /// A number.
    Sum,
    /// A number as text; nothing counts as 0.
    SumText,
    /// Text or nothing.
    Value,
    /// An array of texts and nothings.
    Values,
}

/// An operation whose outcome a reply will decide.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) kind: Kind,
    pub(super) reading: Reading,
    /// The number of the request in its step.
    pub(super) request: usize,
    /// The number of the reply inside the reply of an EXEC.
    pub(super) item: Option<usize>,
}

/// Requests and what they do.
#[derive(Debug, Clone, Default)]
pub(super) struct Step {
    pub(super) requests: Vec<Request>,
    pub(super) planned: Vec<Planned>,
}

impl Step {
    /// One request and its operation.
    pub(super) fn one(words: &[&str], kind: Kind, reading: Reading) -> Step {
        let mut step = Step::default();
        step.then(words, Some((kind, reading)));
        step
    }

    /// A request that changes and tells nothing that is checked.
    pub(super) fn aside(words: &[&str]) -> Step {
        let mut step = Step::default();
        step.then(words, None);
        step
    }

    /// Another request.
    pub(super) fn then(&mut self, words: &[&str], operation: Option<(Kind, Reading)>) {
        if let Some((kind, reading)) = operation {
            self.planned.push(Planned { kind, reading, request: self.requests.len(), item: None });
        }
        self.requests.push(request(words));
    }

    /// All requests in MULTI and EXEC. With `whole`, the reply of EXEC as a whole decides that one operation;
    /// else each operation has its item.
    pub(super) fn in_transaction(self, whole: Option<(Kind, Reading)>) -> Step {
        let exec = self.requests.len() + 1;
        let planned = match whole {
            Some((kind, reading)) => vec![Planned { kind, reading, request: exec, item: None }],
            None => {
                let of_item =
                    |planned: Planned| Planned { request: exec, item: Some(planned.request), ..planned };
                self.planned.into_iter().map(of_item).collect()
            }
        };
        let mut requests = vec![request(&["MULTI"])];
        requests.extend(self.requests);
        requests.push(request(&["EXEC"]));
        Step { requests, planned }
    }
}

impl Planned {
    /// The outcome that an answer means.
    ///
    /// # Errors
    /// The reply has a shape that this operation cannot have; the operation then counts as unknown.
    pub(super) fn outcome(&self, answer: &Answer) -> Result<Outcome, String> {
        match answer.effect() {
            Effect::Unknown => return Ok(Outcome::Unknown),
            Effect::Refused => return Ok(Outcome::Failed),
            Effect::Done => {}
        }
        let Some(whole) = answer.value() else { return Ok(Outcome::Unknown) };
        let value = match self.item {
            None => whole,
            Some(item) => match whole.as_slice().and_then(|items| items.get(item)) {
                Some(Value::Error(_)) => return Ok(Outcome::Failed),
                Some(value) => value,
                None => return Err(format!("EXEC answered {whole:?}")),
            },
        };
        let reply =
            self.reply(value).ok_or_else(|| format!("{:?} was answered with {value:?}", self.kind))?;
        Ok(Outcome::Acked(reply))
    }

    fn reply(&self, value: &Value) -> Option<Reply> {
        let text = |value: &Value| match value {
            Value::Null => Some(None),
            value => value.as_str().map(|text| Some(text.to_owned())),
        };
        match self.reading {
            // An error inside the reply of a whole EXEC is half a transaction, which nobody refused.
            Reading::Done => {
                let items = value.as_slice().unwrap_or_default();
                (!items.iter().any(|item| item.as_error().is_some())).then_some(Reply::Done)
            }
            Reading::Sum => value.as_integer().map(Reply::Sum),
            Reading::SumText => {
                let text = text(value)?;
                text.as_deref().unwrap_or("0").parse().ok().map(Reply::Sum)
            }
            Reading::Value => Some(Reply::Values(vec![text(value)?])),
            Reading::Values => value.as_slice()?.iter().map(text).collect::<Option<_>>().map(Reply::Values),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn answer(value: Value) -> Answer {
        Answer::Reply(value, Instant::now())
    }

    #[test]
    fn an_operation_in_a_transaction_finds_its_item() {
        let mut step = Step::one(&["SET", "a", "1"], Kind::ReadSum { counter: "a".into() }, Reading::Done);
        step.then(&["GET", "n"], Some((Kind::ReadSum { counter: "n".into() }, Reading::SumText)));
        let step = step.in_transaction(None);
        assert_eq!(step.requests.len(), 4);
        assert_eq!((step.planned[1].request, step.planned[1].item), (3, Some(1)));
        let exec = answer(Value::Array(vec![Value::Simple(b"OK".to_vec()), Value::Bulk(b"7".to_vec())]));
        assert_eq!(step.planned[1].outcome(&exec), Ok(Outcome::Acked(Reply::Sum(7))));
        assert!(step.planned[1].outcome(&answer(Value::Null)).is_err());
    }

    #[test]
    fn nothing_answered_is_unknown_and_an_error_is_refused() {
        let step = Step::one(&["GET", "n"], Kind::ReadSum { counter: "n".into() }, Reading::SumText);
        assert_eq!(step.planned[0].outcome(&Answer::None), Ok(Outcome::Unknown));
        let error = answer(Value::Error(b"ERR no".to_vec()));
        assert_eq!(step.planned[0].outcome(&error), Ok(Outcome::Failed));
        assert_eq!(step.planned[0].outcome(&answer(Value::Null)), Ok(Outcome::Acked(Reply::Sum(0))));
    }
}
