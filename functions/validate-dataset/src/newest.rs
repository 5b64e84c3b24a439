//! Which accepted data set is the newest, whatever the order in which uploads are handled.

use domain::{Result, evaluation::DatasetManifest, layout::Artifacts, ports::ObjectStore, records};
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

/// Version of the stored shape.
const SCHEMA: u32 = 1;

/// `datasets/newest.json`. The default is older than every entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newest {
    /// Version of this shape.
    pub schema: u32,
    /// Identity of the data set.
    pub dataset: String,
    /// Its last day.
    pub to: Date,
    /// When it was uploaded, by the event.
    pub uploaded: Timestamp,
}

impl Newest {
    /// The entry of an accepted data set.
    pub fn of(manifest: &DatasetManifest, uploaded: Timestamp) -> Self {
        Self {
            schema: SCHEMA,
            dataset: manifest.dataset.clone(),
            to: manifest.to,
            uploaded,
        }
    }

    /// The later last day wins; among equals, as when a file is corrected, the later upload; and then
    /// the larger identity. An order of the entries themselves: late and repeated events can't undo it.
    fn supersedes(&self, other: &Self) -> bool {
        let rank = |entry: &Self| (entry.to, entry.uploaded, entry.dataset.clone());
        rank(self) > rank(other)
    }
}

/// Makes the entry the newest when it is. Somebody else's move meanwhile is transient: the event is
/// handled again.
pub async fn advance(
    store: &impl ObjectStore,
    artifacts: &Artifacts,
    entry: &Newest,
) -> Result<()> {
    let at = artifacts.newest_dataset();
    let found = records::read_versioned::<Newest>(store, &at).await?;
    if entry.supersedes(&found.value) {
        records::swap(store, &at, &found, entry).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(dataset: &str, to: &str, uploaded_s: i64) -> Newest {
        Newest {
            schema: SCHEMA,
            dataset: dataset.to_owned(),
            to: to.parse().unwrap(),
            uploaded: Timestamp::from_second(uploaded_s).unwrap(),
        }
    }

    #[test]
    fn later_days_then_later_uploads() {
        let old = entry("a", "2024-01-01", 500);
        let newer = entry("b", "2024-02-01", 100);
        let corrected = entry("a", "2024-02-01", 200);
        assert!(newer.supersedes(&old) && !old.supersedes(&newer));
        assert!(corrected.supersedes(&newer) && !newer.supersedes(&corrected));
        assert!(!corrected.supersedes(&corrected));
    }
}
