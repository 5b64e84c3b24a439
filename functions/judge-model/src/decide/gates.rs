//! The gates. Each is a rule, a value and a limit; the verdict follows from them alone.
//!
//! | gate | limit | not measured |
//! |---|---|---|
//! | rows compared | at least `MIN_ROWS` | – |
//! | accuracy | at least `MIN_ACCURACY` | no verdict |
//! | accuracy against the seasonal-naive forecast, on the rows that it can predict | more than its | no obstacle |
//! | mse, rmse, mae against the baseline | at most `TOLERANCE` worse | no verdict |
//!
//! A gate that couldn't be measured never passes. Where it is required, the verdict is no-data. The
//! seasonal-naive gate alone may be missing: a data set whose held-out series have no earlier day has
//! nothing to repeat, and the gates beside it still stand.

use std::fmt::Write as _;

use domain::evaluation::{Gate, Metrics, Verdict};
use serde::{Deserialize, Serialize};

/// The limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// Lowest accuracy, from 0 to 1.
    pub min_accuracy: f64,
    /// How much larger an error may be than the baseline's, as a share: 0.1 is 10 %.
    pub tolerance: f64,
    /// Fewest rows that say anything.
    pub min_rows: u64,
    /// Whether the model must be more accurate than the seasonal-naive forecast.
    pub beat_naive: bool,
}

/// Where the baseline comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The live model, on the same rows.
    Champion,
    /// The owner's record, of other rows: for a first model only.
    Record,
}

/// What the candidate must not be worse than.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Where it comes from.
    pub source: Source,
    /// Its metrics.
    pub metrics: Metrics,
}

/// The seasonal-naive forecast and the candidate on the rows that both predict.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Naive {
    /// The seasonal-naive forecast.
    pub naive: Metrics,
    /// The candidate.
    pub candidate: Metrics,
}

/// Everything that was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The candidate on all rows; `None` without rows.
    pub candidate: Option<Metrics>,
    /// What it must not be worse than; `None` for a first model without a record.
    pub baseline: Option<Baseline>,
    /// `None` when no row has an earlier day to repeat.
    pub naive: Option<Naive>,
}

/// A verdict with its reasons.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The end of the judgement.
    pub verdict: Verdict,
    /// Why, in numbers.
    pub reason: String,
    /// Every gate.
    pub gates: Vec<Gate>,
}

/// Holds what was measured against the gates.
pub fn judge(policy: &Policy, measured: &Measured) -> Judged {
    let rows = rows(policy, measured);
    let enough = rows.passed;
    let required: Vec<Gate> = std::iter::once(accuracy(policy, measured))
        .chain(errors(policy, measured))
        .collect();
    let naive = policy.beat_naive.then(|| seasonal(measured));
    let unmeasured = required.iter().any(|gate| gate.value.is_none());
    let gates: Vec<Gate> = std::iter::once(rows).chain(required).chain(naive).collect();
    let failed = |gate: &&Gate| gate.value.is_some() && !gate.passed;
    let verdict = if !enough {
        Verdict::NoData
    } else if gates.iter().any(|gate| failed(&gate)) {
        Verdict::Fail
    } else if unmeasured {
        Verdict::NoData
    } else if measured.baseline.is_some() {
        Verdict::Pass
    } else {
        Verdict::FirstModel
    };
    let reason = match &verdict {
        Verdict::Pass | Verdict::FirstModel => approval(measured, &gates),
        _ => listed(gates.iter().filter(|gate| !gate.passed)),
    };
    Judged {
        verdict,
        reason,
        gates,
    }
}

fn rows(policy: &Policy, measured: &Measured) -> Gate {
    let rows = measured.candidate.map_or(0, |metrics| metrics.rows);
    Gate {
        rule: "rows compared: at least the limit".to_owned(),
        value: Some(rows as f64),
        threshold: policy.min_rows as f64,
        baseline: None,
        passed: rows >= policy.min_rows,
    }
}

fn accuracy(policy: &Policy, measured: &Measured) -> Gate {
    let value = finite(measured.candidate.and_then(|metrics| metrics.accuracy));
    Gate {
        rule: "accuracy (1 - WAPE): at least the limit".to_owned(),
        value,
        threshold: policy.min_accuracy,
        baseline: None,
        passed: value.is_some_and(|value| value >= policy.min_accuracy),
    }
}

fn seasonal(measured: &Measured) -> Gate {
    let both = measured.naive.and_then(|both| {
        let naive = finite(both.naive.accuracy)?;
        Some((finite(both.candidate.accuracy)?, naive, both.naive.rows))
    });
    let rows = both.map_or(0, |(_, _, rows)| rows);
    let threshold = both.map_or(0.0, |(_, naive, _)| naive);
    Gate {
        rule: format!(
            "accuracy on {rows} rows with an earlier day: more than the seasonal-naive forecast's"
        ),
        value: both.map(|(candidate, _, _)| candidate),
        threshold,
        baseline: both.map(|(_, naive, _)| naive),
        passed: both.is_some_and(|(candidate, naive, _)| candidate > naive),
    }
}

type Metric = fn(&Metrics) -> f64;

fn errors(policy: &Policy, measured: &Measured) -> Vec<Gate> {
    let Some(baseline) = measured.baseline else {
        return Vec::new();
    };
    let whose = match baseline.source {
        Source::Champion => "the champion's",
        Source::Record => "the recorded baseline's",
    };
    let errors: [(&str, Metric); 3] = [
        ("mse", |metrics| metrics.mse),
        ("rmse", |metrics| metrics.rmse),
        ("mae", |metrics| metrics.mae),
    ];
    let gate = |(name, error): (&str, Metric)| {
        let reference = finite(Some(error(&baseline.metrics)));
        // Without a baseline figure there is no limit, and so nothing is measured against it.
        let value = reference.and_then(|_| finite(measured.candidate.as_ref().map(error)));
        let threshold = reference.unwrap_or(0.0) * (1.0 + policy.tolerance);
        Gate {
            rule: format!("{name}: at most {whose} * (1 + {})", policy.tolerance),
            value,
            threshold,
            baseline: reference,
            passed: value.is_some_and(|value| value <= threshold),
        }
    };
    errors.map(gate).to_vec()
}

fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

fn approval(measured: &Measured, gates: &[Gate]) -> String {
    let Some(candidate) = measured.candidate else {
        return String::new();
    };
    let mut reason = format!(
        "accuracy {:.4}, rmse {:.3}, mae {:.3} on {} rows",
        candidate.accuracy.unwrap_or_default(),
        candidate.rmse,
        candidate.mae,
        candidate.rows
    );
    let against = match measured.baseline {
        None => "; no baseline to compare with".to_owned(),
        Some(Baseline { source, metrics }) => {
            let whose = match source {
                Source::Champion => "champion",
                Source::Record => "recorded baseline",
            };
            format!(
                "; {whose}: rmse {:.3}, mae {:.3}",
                metrics.rmse, metrics.mae
            )
        }
    };
    reason.push_str(&against);
    let unmeasured = gates.iter().filter(|gate| gate.value.is_none());
    let unmeasured = listed(unmeasured);
    if !unmeasured.is_empty() {
        // Writing to a string can't fail.
        let _ = write!(reason, "; {unmeasured}");
    }
    reason
}

fn listed<'a>(gates: impl Iterator<Item = &'a Gate>) -> String {
    let sentences: Vec<String> = gates.map(sentence).collect();
    sentences.join("; ")
}

fn sentence(gate: &Gate) -> String {
    let Some(value) = gate.value else {
        return format!("{} (not measured)", gate.rule);
    };
    let baseline = gate
        .baseline
        .map(|baseline| format!(", from {}", figure(baseline)));
    format!(
        "{} ({} against {}{})",
        gate.rule,
        figure(value),
        figure(gate.threshold),
        baseline.unwrap_or_default()
    )
}

/// At most four decimals, and none that say nothing.
fn figure(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
