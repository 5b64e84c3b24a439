//! What state an alarm's datapoints put it in: M out of N, with missing data.
//!
//! After "Configuring how CloudWatch alarms treat missing data" and its section "Avoiding premature
//! transitions to alarm state" (Amazon CloudWatch User Guide, `alarms-and-missing-data.html`). Where
//! the guide is silent, this is ours: data of which all breaches, yet too little and too young for
//! ALARM (`- - - - X`), keeps the state.

use jiff::Timestamp;

use super::reason;

/// How many periods further back than the evaluation periods are looked at. AWS doesn't publish the
/// evaluation range; in the guide's tables it is 5 for 3 evaluation periods.
const FURTHER_BACK: usize = 2;

/// An alarm's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Ok,
    Alarm,
    InsufficientData,
}

impl State {
    /// As the API names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }

    /// Of the API's name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Ok, Self::Alarm, Self::InsufficientData]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// What a missing datapoint counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Treatment {
    Missing,
    Ignore,
    Breaching,
    NotBreaching,
}

/// When a value breaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub(crate) enum Operator {
    #[serde(rename = "GreaterThanThreshold")]
    Greater,
    #[serde(rename = "GreaterThanOrEqualToThreshold")]
    GreaterOrEqual,
    #[serde(rename = "LessThanThreshold")]
    Less,
    #[serde(rename = "LessThanOrEqualToThreshold")]
    LessOrEqual,
}

impl Operator {
    fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Greater => value > threshold,
            Self::GreaterOrEqual => value >= threshold,
            Self::Less => value < threshold,
            Self::LessOrEqual => value <= threshold,
        }
    }
}

/// When an alarm changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rule {
    pub(crate) operator: Operator,
    pub(crate) threshold: f64,
    /// N.
    pub(crate) periods: usize,
    /// M, where the alarm says it; N otherwise.
    pub(crate) datapoints_to_alarm: Option<usize>,
    pub(crate) missing: Treatment,
}

impl Rule {
    /// M.
    pub(crate) fn to_alarm(self) -> usize {
        self.datapoints_to_alarm.unwrap_or(self.periods)
    }

    /// The evaluation range, periods.
    pub(crate) fn range(&self) -> usize {
        self.periods + FURTHER_BACK
    }

    /// Whether a value is outside the threshold.
    pub(crate) fn breaches(&self, value: f64) -> bool {
        self.operator.holds(value, self.threshold)
    }
}

/// The statistic of one period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) value: f64,
    pub(crate) samples: f64,
}

/// One period and its datapoint, if there is one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Slot {
    pub(crate) start: Timestamp,
    pub(crate) point: Option<Point>,
}

/// What follows from the datapoints.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decision {
    /// The state stays, whatever it is.
    Keep,
    /// The state that the alarm is in now.
    Be(State, String),
}

/// The state that follows from the periods of the evaluation range, latest first.
pub(crate) fn judge(rule: &Rule, range: &[Slot]) -> Decision {
    let real = evaluated(rule, range);
    let lacking = rule.periods - real.len();
    let breaching = real.iter().filter(|(_, point)| rule.breaches(point.value));
    let breaching = breaching.count();
    let state_of = |breaching: usize| {
        if breaching >= rule.to_alarm() {
            State::Alarm
        } else {
            State::Ok
        }
    };
    let state = match (lacking, rule.missing) {
        (0, _) | (_, Treatment::NotBreaching) => state_of(breaching),
        (_, Treatment::Breaching) => state_of(breaching + lacking),
        (_, Treatment::Missing) if real.is_empty() => State::InsufficientData,
        (_, Treatment::Ignore) if real.is_empty() => return Decision::Keep,
        (_, Treatment::Missing | Treatment::Ignore) => {
            let enough = breaching >= rule.to_alarm();
            match premature(rule, range, breaching == real.len()) {
                _ if enough => State::Alarm,
                None => State::Ok,
                Some(true) if rule.missing == Treatment::Missing => State::Alarm,
                Some(_) => return Decision::Keep,
            }
        }
    };
    Decision::Be(state, reason::text(rule, state, &real))
}

/// The datapoints that count: the latest N that there are, latest first.
pub(crate) fn evaluated(rule: &Rule, range: &[Slot]) -> Vec<(Timestamp, Point)> {
    let real = range
        .iter()
        .filter_map(|slot| slot.point.map(|point| (slot.start, point)));
    real.take(rule.periods).collect()
}

/// Where too few datapoints all breach: whether the oldest is as old as it takes for ALARM, which
/// it is when M periods would have been breached since.
fn premature(rule: &Rule, range: &[Slot], all_breach: bool) -> Option<bool> {
    let oldest = range.iter().rposition(|slot| slot.point.is_some())?;
    all_breach.then_some(oldest + 1 >= rule.to_alarm())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{Decision, Operator, Point, Rule, Slot, State, Treatment, judge};

    const OK: Option<State> = Some(State::Ok);
    const ALARM: Option<State> = Some(State::Alarm);
    const NO_DATA: Option<State> = Some(State::InsufficientData);
    const KEEP: Option<State> = None;

    /// As the guide draws them: latest last, `0` within the threshold, `X` outside, `-` missing.
    fn slots(drawn: &str) -> Vec<Slot> {
        let point = |value| {
            Some(Point {
                value,
                samples: 1.0,
            })
        };
        let drawn = drawn.split(' ').rev().enumerate();
        drawn
            .map(|(age, sign)| Slot {
                start: Timestamp::from_second(6000 - 60 * i64::try_from(age).unwrap()).unwrap(),
                point: match sign {
                    "0" => point(0.0),
                    "X" => point(9.0),
                    _ => None,
                },
            })
            .collect()
    }

    fn rule(to_alarm: usize, periods: usize, missing: Treatment) -> Rule {
        Rule {
            operator: Operator::Greater,
            threshold: 5.0,
            periods,
            datapoints_to_alarm: Some(to_alarm),
            missing,
        }
    }

    fn states(to_alarm: usize, drawn: &str) -> [Option<State>; 4] {
        [
            Treatment::Missing,
            Treatment::Ignore,
            Treatment::Breaching,
            Treatment::NotBreaching,
        ]
        .map(
            |missing| match judge(&rule(to_alarm, 3, missing), &slots(drawn)) {
                Decision::Keep => None,
                Decision::Be(state, _) => Some(state),
            },
        )
    }

    /// The guide's first table: 3 out of 3, evaluation range 5. Columns: missing, ignore, breaching,
    /// not breaching.
    #[test]
    fn the_guides_table_of_3_out_of_3() {
        for (drawn, expected) in [
            ("0 - X - X", [OK, OK, OK, OK]),
            ("0 - - - -", [OK, OK, OK, OK]),
            ("- - - - -", [NO_DATA, KEEP, ALARM, OK]),
            ("0 X X - X", [ALARM, ALARM, ALARM, ALARM]),
            ("- - X - -", [ALARM, KEEP, ALARM, OK]),
        ] {
            assert_eq!(states(3, drawn), expected, "{drawn}");
        }
    }

    /// The guide's second table: 2 out of 3, evaluation range 5.
    #[test]
    fn the_guides_table_of_2_out_of_3() {
        for (drawn, expected) in [
            ("0 - X - X", [ALARM, ALARM, ALARM, ALARM]),
            ("0 0 X 0 X", [ALARM, ALARM, ALARM, ALARM]),
            ("0 - X - -", [OK, OK, ALARM, OK]),
            ("- - - - 0", [OK, OK, ALARM, OK]),
            ("- - - X -", [ALARM, KEEP, ALARM, OK]),
        ] {
            assert_eq!(states(2, drawn), expected, "{drawn}");
        }
    }

    /// The guide's text on premature transitions, 3 out of 3: "does not go immediately into ALARM
    /// state when the data is either - - - - X or - - - X -"; keeping the state is ours.
    #[test]
    fn breaching_data_that_is_too_young_keeps_the_state() {
        for drawn in ["- - - - X", "- - - X -", "- - - X X"] {
            assert_eq!(states(3, drawn)[..2], [KEEP, KEEP], "{drawn}");
            assert_eq!(states(3, drawn)[3], OK, "{drawn}");
        }
        for drawn in ["- - - X 0", "- - X - 0"] {
            assert_eq!(states(3, drawn)[..2], [OK, OK], "{drawn}");
        }
    }

    /// "All real data points in the evaluation range are included in the evaluation": where M of them
    /// breach, nothing that is missing can change it.
    #[test]
    fn enough_breaching_data_alarms_whatever_is_missing() {
        for (to_alarm, drawn) in [(1, "- - - 0 X"), (1, "- - - - X"), (2, "- - - X X")] {
            assert_eq!(states(to_alarm, drawn), [ALARM; 4], "{drawn}");
        }
    }

    #[test]
    fn the_threshold_itself_breaches_where_the_operator_says_so() {
        for (operator, at, below) in [
            (Operator::Greater, false, false),
            (Operator::GreaterOrEqual, true, false),
            (Operator::Less, false, true),
            (Operator::LessOrEqual, true, true),
        ] {
            let rule = Rule {
                operator,
                ..rule(1, 1, Treatment::Missing)
            };
            assert_eq!(rule.breaches(5.0), at, "{operator:?}");
            assert_eq!(rule.breaches(4.9), below, "{operator:?}");
            assert_eq!(rule.breaches(5.1), !below, "{operator:?}");
        }
    }
}
