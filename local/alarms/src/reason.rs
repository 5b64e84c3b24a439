//! Why an alarm is in its state, in CloudWatch's words, and the data behind it.
//!
//! The texts are those that alarms of accounts were seen to give; they depend on whether the alarm
//! says `DatapointsToAlarm`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    definition::Definition,
    judge::{Operator, Point, Rule, Slot, State, Treatment, evaluated},
};

/// What a new alarm's state is explained by.
pub(crate) const CREATED: &str = "Unchecked: Initial alarm creation";

/// A moment as alarms write it: `2026-11-02T09:31:03.417+0000`.
pub(crate) fn moment(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string()
}

/// The reason of `state`; `real` are the datapoints that were evaluated, latest first.
pub(crate) fn text(rule: &Rule, state: State, real: &[(Timestamp, Point)]) -> String {
    let periods = rule.periods;
    if state == State::InsufficientData {
        return format!("Insufficient Data: {} unknown.", were(periods, "datapoint"));
    }
    let lacking = periods - real.len();
    let treated = match rule.missing {
        Treatment::Breaching => Some("Breaching"),
        Treatment::NotBreaching => Some("NonBreaching"),
        Treatment::Missing | Treatment::Ignore => None,
    };
    if let Some(treated) = treated.filter(|_| lacking > 0) {
        let received = if real.is_empty() {
            "no datapoints were".to_owned()
        } else {
            were(real.len(), "datapoint")
        };
        return format!(
            "Threshold Crossed: {received} received for {periods} {} and {} treated as [{treated}].",
            plural(periods, "period"),
            were(lacking, "missing datapoint"),
        );
    }
    let breached = state == State::Alarm;
    let telling: Vec<_> = real
        .iter()
        .filter(|(_, point)| rule.breaches(point.value) == breached)
        .map(|(start, point)| {
            format!(
                "{:?} ({})",
                point.value,
                start.strftime("%d/%m/%y %H:%M:%S")
            )
        })
        .collect();
    let count = telling.len();
    let list = telling.join(", ");
    let verb = if count == 1 { "was" } else { "were" };
    let not = if breached { "" } else { "not " };
    let compared = format!(
        "{verb} {not}{} the threshold ({:?})",
        words(rule.operator),
        rule.threshold
    );
    if rule.datapoints_to_alarm.is_none() {
        let noun = plural(count, "datapoint");
        return format!("Threshold Crossed: {count} {noun} [{list}] {compared}.");
    }
    let (minimum, transition) = if breached {
        (rule.to_alarm(), "OK -> ALARM")
    } else {
        (periods + 1 - rule.to_alarm(), "ALARM -> OK")
    };
    format!(
        "Threshold Crossed: {count} out of the last {} datapoints [{list}] {compared} (minimum \
         {minimum} {} for {transition} transition).",
        real.len(),
        plural(minimum, "datapoint"),
    )
}

/// `StateReasonData`: what was evaluated, latest first, as JSON in a text.
pub(crate) fn data(definition: &Definition, asked: Timestamp, range: &[Slot]) -> String {
    let rule = &definition.rule;
    let real = evaluated(rule, range);
    // Where there are too few datapoints, the latest missing ones are named too.
    let mut named: Vec<Slot> = real
        .iter()
        .map(|&(start, point)| Slot {
            start,
            point: Some(point),
        })
        .collect();
    let missing = range.iter().filter(|slot| slot.point.is_none());
    named.extend(missing.take(rule.periods - real.len()));
    named.sort_by_key(|slot| std::cmp::Reverse(slot.start));
    let evaluated: Vec<_> = named
        .iter()
        .map(|slot| match slot.point {
            Some(point) => json!({
                "timestamp": moment(slot.start),
                "sampleCount": point.samples,
                "value": point.value,
            }),
            None => json!({"timestamp": moment(slot.start)}),
        })
        .collect();
    let recent: Vec<_> = real.iter().rev().map(|(_, point)| point.value).collect();
    let mut data = json!({
        "version": "1.0",
        "queryDate": moment(asked),
        "statistic": definition.statistic.name(),
        "period": definition.period_s,
        "recentDatapoints": recent,
        "threshold": rule.threshold,
        "evaluatedDatapoints": evaluated,
    });
    if let Some((oldest, _)) = real.last() {
        data["startDate"] = Value::String(moment(*oldest));
    }
    if let Some(unit) = &definition.unit {
        data["unit"] = json!(unit);
    }
    data.to_string()
}

fn words(operator: Operator) -> &'static str {
    match operator {
        Operator::Greater => "greater than",
        Operator::GreaterOrEqual => "greater than or equal to",
        Operator::Less => "less than",
        Operator::LessOrEqual => "less than or equal to",
    }
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 {
        noun.to_owned()
    } else {
        format!("{noun}s")
    }
}

/// `1 datapoint was`, `2 datapoints were`.
fn were(count: usize, noun: &str) -> String {
    let verb = if count == 1 { "was" } else { "were" };
    format!("{count} {} {verb}", plural(count, noun))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::text;
    use crate::judge::{Operator, Point, Rule, State, Treatment};

    fn points(values: &[f64]) -> Vec<(Timestamp, Point)> {
        let latest: Timestamp = "2026-11-02T09:30:00Z".parse().unwrap();
        let mut start = latest.as_second();
        let mut points = Vec::new();
        for &value in values {
            let samples = 1.0;
            points.push((
                Timestamp::from_second(start).unwrap(),
                Point { value, samples },
            ));
            start -= 60;
        }
        points
    }

    #[test]
    fn reasons_are_worded_as_cloudwatch_words_them() {
        let three = Rule {
            operator: Operator::Greater,
            threshold: 5.0,
            periods: 3,
            datapoints_to_alarm: Some(3),
            missing: Treatment::Missing,
        };
        let plain = Rule {
            datapoints_to_alarm: None,
            ..three
        };
        let treated = |missing| Rule { missing, ..three };
        let one = |operator, missing| Rule {
            operator,
            periods: 1,
            datapoints_to_alarm: Some(1),
            missing,
            ..three
        };
        for (rule, state, values, expected) in [
            (
                three,
                State::Alarm,
                &[12.5, 11.1, 9.8][..],
                "Threshold Crossed: 3 out of the last 3 datapoints [12.5 (02/11/26 09:30:00), 11.1 (02/11/26 09:29:00), 9.8 (02/11/26 09:28:00)] were greater than the threshold (5.0) (minimum 3 datapoints for OK -> ALARM transition).",
            ),
            (
                three,
                State::Ok,
                &[0.4, 7.0, 8.0],
                "Threshold Crossed: 1 out of the last 3 datapoints [0.4 (02/11/26 09:30:00)] was not greater than the threshold (5.0) (minimum 1 datapoint for ALARM -> OK transition).",
            ),
            (
                plain,
                State::Ok,
                &[1.0, 0.0, 2.0],
                "Threshold Crossed: 3 datapoints [1.0 (02/11/26 09:30:00), 0.0 (02/11/26 09:29:00), 2.0 (02/11/26 09:28:00)] were not greater than the threshold (5.0).",
            ),
            (
                one(Operator::LessOrEqual, Treatment::Missing),
                State::Alarm,
                &[0.0],
                "Threshold Crossed: 1 out of the last 1 datapoints [0.0 (02/11/26 09:30:00)] was less than or equal to the threshold (5.0) (minimum 1 datapoint for OK -> ALARM transition).",
            ),
            (
                three,
                State::InsufficientData,
                &[],
                "Insufficient Data: 3 datapoints were unknown.",
            ),
            (
                one(Operator::Less, Treatment::Missing),
                State::InsufficientData,
                &[],
                "Insufficient Data: 1 datapoint was unknown.",
            ),
            (
                one(Operator::Greater, Treatment::NotBreaching),
                State::Ok,
                &[],
                "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as [NonBreaching].",
            ),
            (
                treated(Treatment::Breaching),
                State::Alarm,
                &[9.0],
                "Threshold Crossed: 1 datapoint was received for 3 periods and 2 missing datapoints were treated as [Breaching].",
            ),
        ] {
            assert_eq!(text(&rule, state, &points(values)), expected);
        }
    }
}
