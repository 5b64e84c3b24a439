//! What happened to alarms: defined, changed, actions carried out or failed.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde_json::{Value, json};

/// Most items that are kept; the oldest go first.
const KEPT: usize = 1000;

/// The API's `AlarmHistoryItem`s, oldest first.
#[derive(Debug, Default)]
pub(crate) struct History(VecDeque<Value>);

impl History {
    /// Adds an item, as of now.
    pub(crate) fn note(&mut self, alarm: &str, item_type: &str, summary: &str, data: &Value) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(json!({
            "AlarmName": alarm,
            "AlarmType": "MetricAlarm",
            "Timestamp": seconds(Timestamp::now()),
            "HistoryItemType": item_type,
            "HistorySummary": summary,
            "HistoryData": data.to_string(),
        }));
    }

    /// The items of an alarm or of all, of one type or of any, latest first.
    pub(crate) fn items(&self, alarm: Option<&str>, item_type: Option<&str>) -> Vec<Value> {
        let is = |item: &Value, member: &str, wanted: Option<&str>| {
            wanted.is_none_or(|wanted| item[member] == wanted)
        };
        let items = self.0.iter().rev();
        items
            .filter(|item| is(item, "AlarmName", alarm) && is(item, "HistoryItemType", item_type))
            .cloned()
            .collect()
    }
}

/// A moment on the wire: epoch seconds.
pub(crate) fn seconds(time: Timestamp) -> Value {
    json!(time.as_millisecond() as f64 / 1e3)
}
