//! Why a scene doesn't go on, for a person who has to find out.

use local_cloud::Depths;

use crate::{
    scenes::Stage,
    words::{self, text},
};

/// Most lines of what was refused and failed.
const MOST: usize = 20;
/// Of the events that were seen, whether or not they were waited for.
const LAST_EVENTS: usize = 8;
/// Of the log of a function that has something to do still.
const LAST_LINES: usize = 8;

impl Stage<'_> {
    /// What the functions refused or failed at, what they haven't done yet, and what happened last.
    pub(crate) async fn troubles(&self) -> String {
        let mut lines = vec![];
        for function in self.cloud.functions() {
            let logs = self.cloud.logs(function).await.unwrap_or_default();
            let troubles = logs.iter().filter_map(|line| words::trouble(line));
            lines.extend(troubles.map(|trouble| format!("\n    {function} {trouble}")));
        }
        lines.truncate(MOST);
        for function in self.cloud.functions() {
            lines.extend(self.under_way(function).await);
        }
        let events = self.tap.seen.iter();
        let last = events.skip(self.tap.seen.len().saturating_sub(LAST_EVENTS));
        lines.extend(last.map(|event| {
            let detail = &event["detail"];
            let why = ["reason", "cause"].map(|field| detail[field].as_str());
            let why = why.into_iter().flatten().next().unwrap_or_default();
            format!("\n    seen: {} {why}", text(&event["detail-type"]))
        }));
        lines.concat()
    }

    /// What a function hasn't done yet, and how its log ends.
    async fn under_way(&self, function: &str) -> Option<String> {
        let depths = self.cloud.depths(function).await.ok()?;
        if depths.is_idle() {
            return None;
        }
        let logs = self.cloud.logs(function).await.unwrap_or_default();
        let last = &logs[logs.len().saturating_sub(LAST_LINES)..];
        let last: Vec<String> = last.iter().map(|line| format!("\n      {line}")).collect();
        let Depths {
            waiting, in_flight, ..
        } = depths;
        Some(format!(
            "\n    {function} has {waiting} messages waiting and {in_flight} hidden; its log ends:{}",
            last.concat()
        ))
    }
}
