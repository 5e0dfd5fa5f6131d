//! The dead letters of a database in memory: one a key, and each number used once.
//! It decides nothing: what becomes of a letter is said by who lands.

use std::collections::BTreeMap;
use std::ops::Deref;

use crate::model::{Letter, LetterKey};
use crate::sink::LetterStep;

/// The letters, by key.
#[derive(Debug, Clone, Default)]
pub struct Letters {
    by_key: BTreeMap<LetterKey, Letter>,
    last: u64,
}

impl Letters {
    /// Does what a landing does to one letter. A letter that takes the place of another has its id.
    pub fn write(&mut self, step: &LetterStep) {
        match step {
            LetterStep::Park(letter) => {
                let known = self.by_key.get(&letter.key).map(|known| known.id);
                let id = known.unwrap_or(self.last + 1);
                self.last = self.last.max(id);
                self.by_key.insert(letter.key.clone(), Letter { id, ..letter.clone() });
            }
            LetterStep::Remove(key) => {
                self.by_key.remove(key);
            }
        }
    }

    /// At most `most` letters with an id above `after`, by id.
    pub fn after(&self, after: u64, most: usize) -> Vec<Letter> {
        let mut found: Vec<Letter> =
            self.by_key.values().filter(|letter| letter.id > after).cloned().collect();
        found.sort_by_key(|letter| letter.id);
        found.truncate(most);
        found
    }
}

/// For who only looks at them.
impl Deref for Letters {
    type Target = BTreeMap<LetterKey, Letter>;

    fn deref(&self) -> &Self::Target {
        &self.by_key
    }
}
