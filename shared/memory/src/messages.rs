//! The bus, the topic, and the queue of the function under test.

use std::time::Duration;

use domain::{
    Result,
    ports::{Announcement, Bus, Ensured, Notice, Queue, Topic},
};
use serde_json::Value;

use crate::World;

/// Everything that was said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Messages {
    pub(crate) announcements: Vec<Announcement>,
    /// How many announcements were handed out.
    delivered: usize,
    pub(crate) notices: Vec<Notice>,
    delays: Vec<(String, Duration)>,
    /// Body and reason of what was sent to the dead-letter queue.
    pub(crate) buried: Vec<(String, String)>,
}

impl World {
    /// Our own events since the last call, oldest first, as the bus delivers them: the envelope's id
    /// is new for each, also for an announcement that is made again.
    pub fn drain_announcements(&self) -> Vec<Value> {
        let mut state = self.state.borrow_mut();
        let delivered = state.messages.delivered;
        state.messages.delivered = state.messages.announcements.len();
        let new = state.messages.announcements[delivered..].to_vec();
        new.iter()
            .map(|new| state.envelope("retail-forecast", &new.detail_type, &[], &new.detail))
            .collect()
    }

    /// Every announcement so far, oldest first, repeats included.
    pub fn announcements(&self) -> Vec<Announcement> {
        self.state.borrow().messages.announcements.clone()
    }

    /// Every message to people so far, oldest first, repeats included.
    pub fn notices(&self) -> Vec<Notice> {
        self.state.borrow().messages.notices.clone()
    }

    /// Receipts of messages that were made visible later, and after how long, since the last call.
    pub fn drain_delays(&self) -> Vec<(String, Duration)> {
        std::mem::take(&mut self.state.borrow_mut().messages.delays)
    }

    /// Body and reason of everything that was sent to the dead-letter queue.
    pub fn buried(&self) -> Vec<(String, String)> {
        self.state.borrow().messages.buried.clone()
    }
}

/// Says it, and answers whether it is new.
fn say<T: PartialEq>(said: &mut Vec<T>, new: T) -> Ensured {
    let ensured = if said.contains(&new) {
        Ensured::AlreadySo
    } else {
        Ensured::Made
    };
    said.push(new);
    ensured
}

impl Bus for World {
    async fn announce(&self, announcement: &Announcement) -> Result<()> {
        self.effect("announce", &announcement.detail_type, |state| {
            let said = &mut state.messages.announcements;
            Ok(((), say(said, announcement.clone())))
        })
        .await
    }
}

impl Topic for World {
    async fn publish(&self, notice: &Notice) -> Result<()> {
        self.effect("publish", &notice.subject, |state| {
            // People get every copy: the same notice again is not nothing.
            state.messages.notices.push(notice.clone());
            Ok(((), Ensured::Made))
        })
        .await
    }
}

impl Queue for World {
    async fn delay(&self, receipt: &str, after: Duration) -> Result<()> {
        self.effect("delay", receipt, |state| {
            state.messages.delays.push((receipt.to_owned(), after));
            Ok(((), Ensured::Made))
        })
        .await
    }

    async fn bury(&self, body: &str, reason: &str) -> Result<()> {
        self.effect("bury", reason, |state| {
            let letter = (body.to_owned(), reason.to_owned());
            Ok(((), say(&mut state.messages.buried, letter)))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ready;

    #[test]
    fn a_repeated_announcement_is_delivered_again_under_another_id() {
        let world = World::new();
        let announcement = Announcement {
            detail_type: "ModelJudged".to_owned(),
            detail: json!({ "id": "cause", "verdict": "pass" }),
        };
        ready(world.announce(&announcement)).unwrap();
        let first = world.drain_announcements();
        let seen = world.effects().len();
        ready(world.announce(&announcement)).unwrap();
        assert_eq!(world.made_since(seen), []);
        let second = world.drain_announcements();
        assert_eq!((first.len(), second.len()), (1, 1));
        assert_eq!(first[0]["source"], "retail-forecast");
        assert_eq!(first[0]["detail"], second[0]["detail"]);
        assert_ne!(first[0]["id"], second[0]["id"]);
        assert_ne!(first[0]["id"], first[0]["detail"]["id"]);
        assert_eq!(world.drain_announcements(), Vec::<Value>::new());
    }
}
