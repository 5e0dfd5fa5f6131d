//! Dead letters for applications: what the database refused, and what can be done about it.
//! Nothing is dropped that was not named.

use tokio::sync::oneshot;

use super::{Landfall, Receipt, text};
use crate::engine::letters::{Act, Selection};
use crate::engine::refusal::Refusal;
use crate::lander::ParkedNow;
use crate::model::{Letter, Value};

/// # Dead letters
///
/// A row that the database refuses is *parked*: what it is owed is kept in the database beside the rows, reads show it all the same,
/// and the rows around it land. Writing the row again is the usual cure: the new change and the letter are tried together.
impl Landfall {
    /// How many rows and events are parked, and since when.
    ///
    /// It is known once the database was reached; until then the version is 0.
    pub fn parked(&self) -> ParkedNow {
        self.engine.parked()
    }

    /// Reads at most `most` dead letters with an id above `after`, by id. They hold values.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let dir = dir.path();
    /// use std::time::Duration;
    /// use landfall::{Landfall, Settings};
    ///
    /// let file = dir.join("app.db");
    /// rusqlite::Connection::open(&file)?
    ///     .execute_batch("CREATE TABLE seat (id INTEGER PRIMARY KEY, place TEXT UNIQUE)")?;
    /// let settings = Settings { refusals_max: 1, ..Settings::in_dir(dir.join("log")) };
    /// let (landfall, _) = Landfall::open_sqlite(settings, &file).await?;
    ///
    /// let _ = landfall.put("seat:1", [("place", "1A".into())]).await?;
    /// let taken = landfall.put("seat:2", [("place", "1A".into())]).await?;
    /// landfall.wait_landed(&taken, Duration::from_secs(5)).await;
    /// let letters = landfall.dead_letters(0, 10).await?;
    /// assert_eq!(letters[0].display(), "seat:2 place = '1A'");
    /// assert_eq!(&*letters[0].reason.text, "UNIQUE constraint failed: seat.place");
    ///
    /// let corrected = landfall.put("seat:2", [("place", "1B".into())]).await?;
    /// landfall.wait_landed(&corrected, Duration::from_secs(5)).await;
    /// assert_eq!(landfall.parked().count, 0);
    /// # landfall.close(Duration::from_secs(5)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Refusal::DatabaseDown`] when the database cannot answer.
    pub async fn dead_letters(&self, after: u64, most: usize) -> Result<Vec<Letter>, Refusal> {
        let (send, receive) = oneshot::channel();
        // Who no longer waits does not want to know.
        self.engine.letters(after, most, Box::new(move |letters| drop(send.send(letters))));
        receive.await.unwrap_or(Err(Refusal::Closing))
    }

    /// Tries dead letters again as they are, and says how many. It is done when the receipt has landed.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] when there is no such letter.
    pub async fn retry_dead_letters(&self, which: Selection) -> Result<(u64, Receipt), Refusal> {
        self.act(which, Act::Retry).await
    }

    /// Gives columns of a dead letter other values and tries it again.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] when there is no such letter, or a value does not fit.
    pub async fn edit_dead_letter<'a>(
        &self,
        id: u64,
        columns: impl IntoIterator<Item = (&'a str, Value)>,
    ) -> Result<Receipt, Refusal> {
        let edit = |(name, value): (&str, Value)| {
            (name.as_bytes().to_vec(), (!value.is_null()).then(|| text(&value)))
        };
        let act = Act::Edit(columns.into_iter().map(edit).collect());
        self.act(Selection::Id(id), act).await.map(|(_, receipt)| receipt)
    }

    /// Gives one dead letter up. What it holds is gone for good once the receipt has landed; reads show the row as the database
    /// has it then.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] when there is no such letter.
    pub async fn drop_dead_letter(&self, id: u64) -> Result<Receipt, Refusal> {
        self.act(Selection::Id(id), Act::Drop).await.map(|(_, receipt)| receipt)
    }

    async fn act(&self, which: Selection, act: Act) -> Result<(u64, Receipt), Refusal> {
        let (send, receive) = oneshot::channel();
        self.engine.act_on_letters(which, act, Box::new(move |acted| drop(send.send(acted))));
        let acted = receive.await.unwrap_or(Err(Refusal::Closing))?;
        Ok((acted.letters, Receipt(acted.written)))
    }
}
