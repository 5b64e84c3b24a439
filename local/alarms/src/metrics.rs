//! An alarm's datapoints, read from the emulator's metrics.
//!
//! A metric is of high resolution once a data point with `StorageResolution` 1 was put through the
//! front. The others have data per minute only, whatever the alarm's period: an alarm of 10 s on one
//! finds a datapoint in one of six periods, as on AWS.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use anyhow::Context as _;
use jiff::Timestamp;
use local_wire::Wire;
use serde_json::{Value, json};

use super::{
    SIGNING_NAME, TARGET,
    definition::Definition,
    judge::{Point, Slot},
    metric::{Dimension, Metric, Statistic, dimensions},
};

const MINUTE_S: i64 = 60;

/// The metrics that have data for each second.
#[derive(Debug, Default)]
pub(crate) struct HighResolution(Mutex<HashSet<Metric>>);

impl HighResolution {
    /// Notes the metrics of `PutMetricData`'s input.
    pub(crate) fn note(&self, input: &Value) {
        let Some(namespace) = input["Namespace"].as_str() else {
            return;
        };
        for datum in input["MetricData"].as_array().into_iter().flatten() {
            if datum["StorageResolution"] != 1 {
                continue;
            }
            let list: Vec<Dimension> =
                serde_json::from_value(datum["Dimensions"].clone()).unwrap_or_default();
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(Metric {
                    namespace: namespace.to_owned(),
                    name: datum["MetricName"].as_str().unwrap_or_default().to_owned(),
                    dimensions: dimensions(list),
                });
        }
    }

    fn has(&self, metric: &Metric) -> bool {
        let metrics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        metrics.contains(metric)
    }
}

/// The periods of an alarm's evaluation range that ends at `end` (epoch seconds), latest first.
pub(crate) async fn read(
    wire: &Wire,
    high: &HighResolution,
    definition: &Definition,
    end: i64,
) -> anyhow::Result<Vec<Slot>> {
    let resolution = if definition.is_high_resolution() && !high.has(&definition.metric) {
        MINUTE_S
    } else {
        i64::from(definition.step_s())
    };
    let mut range = Range::new(definition, end)?;
    let body = json!({
        "Namespace": definition.metric.namespace,
        "MetricName": definition.metric.name,
        "Dimensions": definition.metric.described(["Name", "Value"]),
        "StartTime": range.start.div_euclid(resolution) * resolution,
        "EndTime": end,
        "Period": resolution,
        "Statistics": ["SampleCount", "Sum", "Minimum", "Maximum"],
    });
    let target = format!("{TARGET}.GetMetricStatistics");
    let answer = wire.json(SIGNING_NAME, &target, body).await?;
    for found in answer["Datapoints"].as_array().into_iter().flatten() {
        // The emulator has no filter; without a unit an alarm takes whatever unit there is.
        let unit = definition.unit.as_ref();
        if unit.is_none_or(|unit| found["Unit"] == unit.as_str()) {
            range.add(found)?;
        }
    }
    range.slots(definition.statistic)
}

/// What the data of one period sums up to.
#[derive(Debug, Clone, Copy)]
struct Summary {
    samples: f64,
    sum: f64,
    minimum: f64,
    maximum: f64,
}

#[derive(Debug)]
struct Range {
    start: i64,
    end: i64,
    period: i64,
    /// Latest first.
    periods: Vec<Option<Summary>>,
}

impl Range {
    fn new(definition: &Definition, end: i64) -> anyhow::Result<Self> {
        let period = i64::from(definition.period_s);
        let periods = definition.rule.range();
        Ok(Self {
            start: end - period * i64::try_from(periods)?,
            end,
            period,
            periods: vec![None; periods],
        })
    }

    /// Adds one of the emulator's datapoints, which are as long as the metric's resolution.
    fn add(&mut self, found: &Value) -> anyhow::Result<()> {
        let number = |member: &str| {
            found[member]
                .as_f64()
                .with_context(|| format!("a datapoint without {member}: {found}"))
        };
        let start = found["Timestamp"]
            .as_i64()
            .with_context(|| format!("a datapoint without Timestamp: {found}"))?;
        if !(self.start..self.end).contains(&start) {
            return Ok(());
        }
        let age = usize::try_from((self.end - 1 - start) / self.period)?;
        let found = Summary {
            samples: number("SampleCount")?,
            sum: number("Sum")?,
            minimum: number("Minimum")?,
            maximum: number("Maximum")?,
        };
        let period = self.periods.get_mut(age).context("outside the range")?;
        *period = Some(match *period {
            None => found,
            Some(so_far) => Summary {
                samples: so_far.samples + found.samples,
                sum: so_far.sum + found.sum,
                minimum: so_far.minimum.min(found.minimum),
                maximum: so_far.maximum.max(found.maximum),
            },
        });
        Ok(())
    }

    fn slots(self, statistic: Statistic) -> anyhow::Result<Vec<Slot>> {
        let mut start = self.end;
        let mut slots = Vec::with_capacity(self.periods.len());
        for period in self.periods {
            start -= self.period;
            slots.push(Slot {
                start: Timestamp::from_second(start)?,
                point: period.map(|summary| summary.point(statistic)),
            });
        }
        Ok(slots)
    }
}

impl Summary {
    fn point(self, statistic: Statistic) -> Point {
        let value = match statistic {
            Statistic::Average => self.sum / self.samples,
            Statistic::Sum => self.sum,
            Statistic::Minimum => self.minimum,
            Statistic::Maximum => self.maximum,
            Statistic::SampleCount => self.samples,
        };
        Point {
            value,
            samples: self.samples,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{HighResolution, Metric, Range, Statistic};
    use crate::definition::{
        Definition,
        tests::{input, place},
    };

    #[test]
    fn datapoints_are_summed_up_by_period_back_from_the_end() {
        let mut input = input();
        input["Period"] = json!(120);
        input["EvaluationPeriods"] = json!(1);
        input["DatapointsToAlarm"] = json!(1);
        let definition = Definition::read(&input, &place()).unwrap();
        for (statistic, latest) in [
            (Statistic::Average, 4.0),
            (Statistic::Sum, 12.0),
            (Statistic::Minimum, 1.0),
            (Statistic::Maximum, 9.0),
            (Statistic::SampleCount, 3.0),
        ] {
            let mut range = Range::new(&definition, 6060).unwrap();
            for (start, samples, sum, minimum, maximum) in [
                (5640, 1.0, 7.0, 7.0, 7.0), // before the range, which is 3 periods
                (5700, 1.0, 8.0, 8.0, 8.0),
                (5940, 2.0, 10.0, 1.0, 9.0),
                (6000, 1.0, 2.0, 2.0, 2.0),
                (6060, 1.0, 99.0, 99.0, 99.0), // after it
            ] {
                let found = json!({"Timestamp": start, "SampleCount": samples, "Sum": sum,
                    "Minimum": minimum, "Maximum": maximum});
                range.add(&found).unwrap();
            }
            let slots = range.slots(statistic).unwrap();
            let starts: Vec<_> = slots.iter().map(|slot| slot.start.as_second()).collect();
            assert_eq!(starts, [5940, 5820, 5700]);
            let value = |age: usize| slots[age].point.map(|point| point.value);
            assert_eq!(value(0), Some(latest), "{statistic:?}");
            assert_eq!(value(1), None);
            assert!(value(2).is_some());
        }
    }

    #[test]
    fn a_metric_is_of_high_resolution_with_its_own_dimensions_only() {
        let high = HighResolution::default();
        let datum = |release: &str, resolution: u32| {
            json!({"MetricName": "ErrorRate", "StorageResolution": resolution,
                "Dimensions": [{"Name": "DeploymentId", "Value": release}]})
        };
        high.note(&json!({"Namespace": "N", "MetricData": [datum("a", 1), datum("b", 60)]}));
        for (release, expected) in [("a", true), ("b", false)] {
            let metric = Metric {
                namespace: "N".to_owned(),
                name: "ErrorRate".to_owned(),
                dimensions: [("DeploymentId".to_owned(), release.to_owned())].into(),
            };
            assert_eq!(high.has(&metric), expected, "{release}");
        }
    }
}
