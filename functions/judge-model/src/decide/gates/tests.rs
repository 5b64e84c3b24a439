//! Verdicts by what was measured.

use super::*;

const POLICY: Policy = Policy {
    min_accuracy: 0.85,
    tolerance: 0.10,
    min_rows: 100,
    beat_naive: true,
};

fn metrics(rows: u64, rmse: f64, accuracy: Option<f64>) -> Metrics {
    Metrics {
        rows,
        mse: rmse * rmse,
        rmse,
        mae: rmse,
        r2_score: None,
        accuracy,
    }
}

fn measured() -> Measured {
    let candidate = metrics(1000, 10.0, Some(0.90));
    Measured {
        candidate: Some(candidate),
        baseline: Some(Baseline {
            source: Source::Champion,
            metrics: metrics(1000, 10.0, Some(0.90)),
        }),
        naive: Some(Naive {
            naive: metrics(900, 12.0, Some(0.86)),
            candidate,
        }),
    }
}

type Change = fn(&mut Measured, &mut Policy);

const CASES: [(&str, Change, Verdict, &str); 17] = [
    (
        "as good as the champion",
        |_, _| (),
        Verdict::Pass,
        "accuracy 0.9000",
    ),
    (
        "no baseline",
        |m, _| m.baseline = None,
        Verdict::FirstModel,
        "no baseline",
    ),
    (
        "recorded baseline",
        |m, _| m.baseline.as_mut().unwrap().source = Source::Record,
        Verdict::Pass,
        "recorded baseline",
    ),
    (
        "too few rows",
        |m, _| m.candidate.as_mut().unwrap().rows = 99,
        Verdict::NoData,
        "(99 against 100)",
    ),
    (
        "no rows",
        |m, _| m.candidate = None,
        Verdict::NoData,
        "(0 against 100)",
    ),
    (
        "enough rows, just",
        |m, _| m.candidate.as_mut().unwrap().rows = 100,
        Verdict::Pass,
        "",
    ),
    (
        "inaccurate",
        |m, _| m.candidate.as_mut().unwrap().accuracy = Some(0.8499),
        Verdict::Fail,
        "0.8499 against 0.85",
    ),
    (
        "accurate, just",
        |m, _| {
            m.candidate.as_mut().unwrap().accuracy = Some(0.85);
            m.naive = None;
        },
        Verdict::Pass,
        "",
    ),
    (
        "no better than last year",
        |m, _| m.naive.as_mut().unwrap().candidate.accuracy = Some(0.86),
        Verdict::Fail,
        "900 rows with an earlier day",
    ),
    (
        "last year isn't asked about",
        |m, p| {
            m.naive.as_mut().unwrap().candidate.accuracy = Some(0.8);
            p.beat_naive = false;
        },
        Verdict::Pass,
        "",
    ),
    (
        "no last year",
        |m, _| m.naive = None,
        Verdict::Pass,
        "(not measured)",
    ),
    (
        "11 % worse",
        |m, _| m.candidate = Some(metrics(1000, 11.1, Some(0.9))),
        Verdict::Fail,
        "rmse: at most the champion's * (1 + 0.1) (11.1 against 11, from 10)",
    ),
    (
        "mse is the strictest",
        |m, _| m.candidate = Some(metrics(1000, 10.5, Some(0.9))),
        Verdict::Fail,
        "mse: at most",
    ),
    (
        "4 % worse",
        |m, _| m.candidate = Some(metrics(1000, 10.4, Some(0.9))),
        Verdict::Pass,
        "",
    ),
    (
        "no sales at all",
        |m, _| m.candidate.as_mut().unwrap().accuracy = None,
        Verdict::NoData,
        "accuracy (1 - WAPE): at least the limit (not measured)",
    ),
    (
        "undefined errors",
        |m, _| m.candidate.as_mut().unwrap().mse = f64::NAN,
        Verdict::NoData,
        "mse: at most the champion's * (1 + 0.1) (not measured)",
    ),
    (
        "undefined baseline",
        |m, _| m.baseline.as_mut().unwrap().metrics.mae = f64::NAN,
        Verdict::NoData,
        "mae",
    ),
];

#[test]
fn verdicts_follow_from_the_gates() {
    for (name, change, verdict, reason) in CASES {
        let (mut measured, mut policy) = (measured(), POLICY);
        change(&mut measured, &mut policy);
        let judged = judge(&policy, &measured);
        assert_eq!(judged.verdict, verdict, "{name}: {}", judged.reason);
        assert!(judged.reason.contains(reason), "{name}: {}", judged.reason);
        assert!(!judged.reason.is_empty(), "{name}");
    }
}

#[test]
fn what_is_undefined_never_passes_a_gate() {
    for undefined in [Some(f64::NAN), Some(f64::INFINITY), None] {
        let mut measured = measured();
        let candidate = measured.candidate.as_mut().unwrap();
        candidate.accuracy = undefined;
        candidate.mse = undefined.unwrap_or(f64::NAN);
        let judged = judge(&POLICY, &measured);
        assert!(!judged.verdict.approves(), "{undefined:?}");
        for gate in judged.gates.iter().filter(|gate| gate.value.is_none()) {
            assert!(!gate.passed, "{gate:?}");
        }
    }
}

#[test]
fn gates_are_written_as_numbers() {
    // JSON has no NaN: what is stored must read back.
    let mut measured = measured();
    measured.candidate.as_mut().unwrap().mse = f64::NAN;
    measured.baseline.as_mut().unwrap().metrics.mae = f64::INFINITY;
    measured.naive.as_mut().unwrap().naive.accuracy = Some(f64::NEG_INFINITY);
    let text = serde_json::to_string(&judge(&POLICY, &measured).gates).unwrap();
    let gates: Vec<Gate> = serde_json::from_str(&text).unwrap();
    assert_eq!(gates.iter().filter(|gate| gate.value.is_none()).count(), 3);
}
