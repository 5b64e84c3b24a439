//! CloudWatch's alarms: kept, and never evaluated. What they would say is delivered by hand.

use std::collections::BTreeMap;

use domain::{
    Result,
    ports::{AlarmSpec, Alarms, Ensured},
};

use crate::World;

impl World {
    /// Every alarm by its name.
    pub fn alarms(&self) -> BTreeMap<String, AlarmSpec> {
        self.state.borrow().alarms.clone()
    }
}

impl Alarms for World {
    async fn ensure_alarm(&self, spec: &AlarmSpec) -> Result<()> {
        self.effect("ensure_alarm", &spec.name, |state| {
            let before = state.alarms.insert(spec.name.clone(), spec.clone());
            let ensured = if before.as_ref() == Some(spec) {
                Ensured::AlreadySo
            } else {
                Ensured::Made
            };
            Ok(((), ensured))
        })
        .await
    }

    async fn remove_alarms(&self, names: &[String]) -> Result<()> {
        self.effect("remove_alarms", &names.join(", "), |state| {
            let before = state.alarms.len();
            state.alarms.retain(|name, _| !names.contains(name));
            let ensured = if state.alarms.len() == before {
                Ensured::AlreadySo
            } else {
                Ensured::Made
            };
            Ok(((), ensured))
        })
        .await
    }
}
