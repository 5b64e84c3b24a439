//! The alarms that there are, the state of each, and what happened to them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    definition::Definition,
    history::{History, seconds},
    judge::{Decision, State},
    metric::Metric,
    reason::CREATED,
};

/// How long a period's data is waited for after the period's end, seconds.
const SETTLE_S: i64 = 1;

/// A state, since when and why.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) state: State,
    pub(crate) reason: String,
    /// `StateReasonData`: JSON in a text.
    pub(crate) data: Option<String>,
    pub(crate) since: Timestamp,
}

impl Standing {
    /// A state as of now.
    pub(crate) fn now(state: State, reason: &str, data: Option<String>) -> Self {
        Self {
            state,
            reason: reason.to_owned(),
            data,
            since: Timestamp::now(),
        }
    }
}

/// An alarm that changed its state.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) definition: Arc<Definition>,
    pub(crate) configured: Timestamp,
    pub(crate) from: Standing,
    pub(crate) to: Standing,
}

/// An alarm to be evaluated, by the data before `end`.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) definition: Arc<Definition>,
    /// Epoch seconds.
    pub(crate) end: i64,
    revision: u64,
}

/// Which alarms are described.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) names: Option<Vec<String>>,
    pub(crate) prefix: Option<String>,
    pub(crate) state: Option<State>,
    pub(crate) action_prefix: Option<String>,
    pub(crate) metric: Option<Metric>,
}

#[derive(Debug)]
struct Alarm {
    definition: Arc<Definition>,
    standing: Standing,
    configured: Timestamp,
    tags: BTreeMap<String, String>,
    /// Changes with the definition.
    revision: u64,
    /// End of the data that was evaluated last; `None` until this definition was.
    evaluated: Option<i64>,
}

#[derive(Debug, Default)]
struct Pages {
    alarms: BTreeMap<String, Alarm>,
    history: History,
    revisions: u64,
}

/// All alarms.
#[derive(Debug, Default)]
pub(crate) struct Book(Mutex<Pages>);

impl Book {
    fn open(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Defines an alarm. One that there is keeps its state and its tags.
    pub(crate) fn put(&self, definition: Definition, tags: BTreeMap<String, String>) {
        let mut pages = self.open();
        let now = Timestamp::now();
        pages.revisions += 1;
        let revision = pages.revisions;
        let name = definition.name.clone();
        let definition = Arc::new(definition);
        let what = if let Some(alarm) = pages.alarms.get_mut(&name) {
            alarm.definition = definition;
            alarm.configured = now;
            alarm.revision = revision;
            alarm.evaluated = None;
            "updated"
        } else {
            let standing = Standing::now(State::InsufficientData, CREATED, None);
            let alarm = Alarm {
                definition,
                standing,
                configured: now,
                tags,
                revision,
                evaluated: None,
            };
            pages.alarms.insert(name.clone(), alarm);
            "created"
        };
        let summary = format!("Alarm \"{name}\" {what}");
        pages
            .history
            .note(&name, "ConfigurationUpdate", &summary, &json!({}));
    }

    /// Removes alarms; one that there isn't is an error, which changes nothing.
    pub(crate) fn delete(&self, names: &[String]) -> Result<(), String> {
        let mut pages = self.open();
        if let Some(missing) = names.iter().find(|name| !pages.alarms.contains_key(*name)) {
            return Err(missing.clone());
        }
        for name in names {
            pages.alarms.remove(name);
            let summary = format!("Alarm \"{name}\" deleted");
            pages
                .history
                .note(name, "ConfigurationUpdate", &summary, &json!({}));
        }
        Ok(())
    }

    /// Switches the actions of alarms on or off. Those that there aren't are passed over, as AWS does.
    pub(crate) fn switch_actions(&self, names: &[String], enabled: bool) {
        let mut pages = self.open();
        for name in names {
            let Some(alarm) = pages.alarms.get_mut(name) else {
                continue;
            };
            Arc::make_mut(&mut alarm.definition).actions_enabled = enabled;
            alarm.configured = Timestamp::now();
            let what = if enabled { "enabled" } else { "disabled" };
            let summary = format!("Alarm actions {what} for {name}");
            pages
                .history
                .note(name, "ConfigurationUpdate", &summary, &json!({}));
        }
    }

    /// Puts an alarm into a state until its next evaluation. `Err` when there is no such alarm.
    pub(crate) fn set(&self, name: &str, to: Standing) -> Result<Option<Change>, ()> {
        let mut pages = self.open();
        if !pages.alarms.contains_key(name) {
            return Err(());
        }
        Ok(pages.change(name, to))
    }

    /// The alarms whose next period has ended.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<Due> {
        let pages = self.open();
        let due = pages.alarms.values().filter_map(|alarm| {
            let step = i64::from(alarm.definition.step_s());
            let end = (now.as_second() - SETTLE_S).div_euclid(step) * step;
            alarm.evaluated.is_none_or(|last| end > last).then(|| Due {
                definition: Arc::clone(&alarm.definition),
                end,
                revision: alarm.revision,
            })
        });
        due.collect()
    }

    /// Takes over what an evaluation came to, unless the alarm was defined anew or deleted meanwhile.
    pub(crate) fn settle(&self, due: &Due, decision: Decision, data: String) -> Option<Change> {
        let mut pages = self.open();
        let name = &due.definition.name;
        let alarm = pages.alarms.get_mut(name)?;
        if alarm.revision != due.revision {
            return None;
        }
        alarm.evaluated = Some(due.end);
        let Decision::Be(state, reason) = decision else {
            return None;
        };
        pages.change(name, Standing::now(state, &reason, Some(data)))
    }

    /// Notes how an action went.
    pub(crate) fn note_action(&self, alarm: &str, summary: &str, data: &Value) {
        self.open().history.note(alarm, "Action", summary, data);
    }

    /// The API's `MetricAlarm`s that `filter` lets through, by name.
    pub(crate) fn describe(&self, filter: &Filter, arn: impl Fn(&str) -> String) -> Vec<Value> {
        let pages = self.open();
        let alarms = pages.alarms.values().filter(|alarm| filter.lets(alarm));
        alarms
            .map(|alarm| {
                let mut described = alarm.definition.describe();
                let Standing {
                    state,
                    reason,
                    data,
                    since,
                } = &alarm.standing;
                described["AlarmArn"] = json!(arn(&alarm.definition.name));
                described["AlarmConfigurationUpdatedTimestamp"] = seconds(alarm.configured);
                described["StateValue"] = json!(state.name());
                described["StateReason"] = json!(reason);
                described["StateUpdatedTimestamp"] = seconds(*since);
                described["StateTransitionedTimestamp"] = seconds(*since);
                if let Some(data) = data {
                    described["StateReasonData"] = json!(data);
                }
                described
            })
            .collect()
    }

    /// Items of the history, latest first.
    pub(crate) fn history(&self, alarm: Option<&str>, item_type: Option<&str>) -> Vec<Value> {
        self.open().history.items(alarm, item_type)
    }

    /// Reads or changes an alarm's tags; `None` when there is no such alarm.
    pub(crate) fn tags<T>(
        &self,
        name: &str,
        act: impl FnOnce(&mut BTreeMap<String, String>) -> T,
    ) -> Option<T> {
        let mut pages = self.open();
        pages.alarms.get_mut(name).map(|alarm| act(&mut alarm.tags))
    }
}

impl Pages {
    fn change(&mut self, name: &str, to: Standing) -> Option<Change> {
        let alarm = self.alarms.get_mut(name)?;
        if alarm.standing.state == to.state {
            return None;
        }
        let from = std::mem::replace(&mut alarm.standing, to.clone());
        let change = Change {
            definition: Arc::clone(&alarm.definition),
            configured: alarm.configured,
            from,
            to,
        };
        let (from, to) = (&change.from, &change.to);
        let summary = format!(
            "Alarm updated from {} to {}",
            from.state.name(),
            to.state.name()
        );
        let state = |standing: &Standing| {
            json!({
                "stateValue": standing.state.name(),
                "stateReason": standing.reason,
                "stateReasonData": standing.data,
            })
        };
        let data = json!({"version": "1.0", "oldState": state(from), "newState": state(to)});
        self.history.note(name, "StateUpdate", &summary, &data);
        Some(change)
    }
}

impl Filter {
    fn lets(&self, alarm: &Alarm) -> bool {
        let definition = &alarm.definition;
        let name = &definition.name;
        let is_acting = |prefix: &String| {
            [State::Ok, State::Alarm, State::InsufficientData]
                .into_iter()
                .flat_map(|state| definition.actions(state))
                .any(|action| action.starts_with(prefix))
        };
        self.names.as_ref().is_none_or(|names| names.contains(name))
            && self
                .prefix
                .as_ref()
                .is_none_or(|prefix| name.starts_with(prefix))
            && self.state.is_none_or(|state| alarm.standing.state == state)
            && self.action_prefix.as_ref().is_none_or(is_acting)
            && self
                .metric
                .as_ref()
                .is_none_or(|metric| definition.metric == *metric)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use serde_json::json;

    use super::{Book, Decision, Filter, Standing, State};
    use crate::definition::{
        Definition,
        tests::{input, place},
    };

    const NAME: &str = "RetailForecast-API-Error-Rate-retail-forecast-dev";

    fn definition() -> Definition {
        Definition::read(&input(), &place()).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_alarm_is_due_once_a_minute_after_the_data_settled() {
        let book = Book::default();
        book.put(definition(), BTreeMap::new());
        let [due] = &book.due(at("2026-01-01T00:00:30Z"))[..] else {
            panic!("a new alarm is due at once");
        };
        book.settle(due, Decision::Keep, String::new());
        for (now, count) in [
            ("2026-01-01T00:00:59Z", 0),
            ("2026-01-01T00:01:00Z", 0),
            ("2026-01-01T00:01:01Z", 1),
        ] {
            assert_eq!(book.due(at(now)).len(), count, "{now}");
        }
    }

    #[test]
    fn a_change_is_told_once_and_an_update_keeps_the_state() {
        let book = Book::default();
        book.put(definition(), BTreeMap::new());
        let now = at("2026-01-01T00:00:30Z");
        let due = book.due(now).remove(0);
        let alarm = || Decision::Be(State::Alarm, "because".to_owned());
        let change = book.settle(&due, alarm(), "{}".to_owned()).unwrap();
        assert_eq!(change.from.state, State::InsufficientData);
        assert!(book.settle(&due, alarm(), "{}".to_owned()).is_none());
        book.put(definition(), BTreeMap::new());
        let stale = book.settle(&due, Decision::Be(State::Ok, String::new()), String::new());
        assert!(stale.is_none(), "an evaluation of the definition before");
        let described = book.describe(&Filter::default(), str::to_owned);
        assert_eq!(described[0]["StateValue"], "ALARM");
        assert_eq!(described[0]["StateReason"], "because");
        let summaries: Vec<_> = book.history(Some(NAME), Some("StateUpdate"));
        assert_eq!(summaries.len(), 1, "{summaries:?}");
    }

    #[test]
    fn a_filter_lets_through_what_it_names() {
        let book = Book::default();
        book.put(definition(), BTreeMap::new());
        book.set(NAME, Standing::now(State::Ok, "r", None)).unwrap();
        let count = |filter: &Filter| book.describe(filter, str::to_owned).len();
        let text = |text: &str| Some(text.to_owned());
        for (filter, expected) in [
            (
                Filter {
                    names: Some(vec![NAME.to_owned()]),
                    ..Filter::default()
                },
                1,
            ),
            (
                Filter {
                    names: Some(vec!["other".to_owned()]),
                    ..Filter::default()
                },
                0,
            ),
            (
                Filter {
                    prefix: text("RetailForecast-API"),
                    ..Filter::default()
                },
                1,
            ),
            (
                Filter {
                    prefix: text("API"),
                    ..Filter::default()
                },
                0,
            ),
            (
                Filter {
                    state: Some(State::Ok),
                    ..Filter::default()
                },
                1,
            ),
            (
                Filter {
                    state: Some(State::Alarm),
                    ..Filter::default()
                },
                0,
            ),
            (
                Filter {
                    action_prefix: text("arn:aws:lambda"),
                    ..Filter::default()
                },
                1,
            ),
            (
                Filter {
                    action_prefix: text("arn:aws:swf"),
                    ..Filter::default()
                },
                0,
            ),
        ] {
            assert_eq!(count(&filter), expected, "{filter:?}");
        }
        assert_eq!(book.delete(&["other".to_owned()]), Err("other".to_owned()));
        assert_eq!(book.delete(&[NAME.to_owned()]), Ok(()));
        assert_eq!(json!(count(&Filter::default())), json!(0));
    }
}
