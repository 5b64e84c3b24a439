use super::*;

use Part::{Configuration, Image, Model};

/// `+` holds, `-` fails, `?` has no answer.
fn tried(bad: &[Part], mark: char) -> Tried {
    let reason = "r".to_owned();
    Tried {
        combination: format!("bad {bad:?}"),
        bad: bad.to_vec(),
        job: "j".to_owned(),
        outcome: match mark {
            '+' => Outcome::Holds {
                rows: 10,
                deviation: 0.0,
            },
            '-' => Outcome::Fails { reason },
            _ => Outcome::Unanswered { reason },
        },
    }
}

#[test]
fn the_table_for_two_parts() {
    // The good release, the bad model alone, the bad image alone, both.
    let cases: [(&str, &[Part], &str); 18] = [
        ("++--", &[Image], "image is guilty"),
        ("+-+-", &[Model], "model is guilty"),
        ("+---", &[Model, Image], "are guilty"),
        ("++-?", &[Image], "image is guilty"),
        ("+?--", &[Image], "image is guilty"),
        ("+-?-", &[Model], "model is guilty"),
        ("++++", &[], "golden rows don't show"),
        ("+++?", &[], "golden rows don't show"),
        ("+++-", &[], "only together"),
        ("++-+", &[], "all of them don't"),
        ("+--+", &[], "all of them don't"),
        ("----", &[], "the good release itself"),
        ("-+-+", &[], "the good release itself"),
        ("-++-", &[], "the good release itself"),
        ("?+--", &[], "the good release itself"),
        ("++?-", &[], "not everything was tried"),
        ("+?+-", &[], "not everything was tried"),
        ("+???", &[], "not everything was tried"),
    ];
    let combinations: [&[Part]; 4] = [&[], &[Model], &[Image], &[Model, Image]];
    for (marks, guilty, words) in cases {
        let pairs = combinations.iter().zip(marks.chars());
        let all: Vec<Tried> = pairs.map(|(bad, mark)| tried(bad, mark)).collect();
        let verdict = verdict(&all);
        assert_eq!(verdict.guilty, guilty, "{marks}: {}", verdict.reason);
        assert!(
            verdict.reason.contains(words),
            "{marks}: {}",
            verdict.reason
        );
        assert_eq!(
            verdict.guilty.is_empty(),
            verdict.reason.contains("can't be told"),
            "{marks}"
        );
    }
}

#[test]
fn every_answer_of_three_parts_blames_only_what_fails_alone() {
    let combinations: [&[Part]; 5] = [
        &[],
        &[Model],
        &[Image],
        &[Configuration],
        &[Model, Image, Configuration],
    ];
    let mark = |number: usize, at: u32| ['+', '-', '?'][number / 3_usize.pow(at) % 3];
    let mut guilty_at_all = 0;
    for number in 0..3_usize.pow(5) {
        let marks: Vec<char> = (0..5).map(|at| mark(number, at)).collect();
        let pairs = combinations.iter().zip(&marks);
        let all: Vec<Tried> = pairs.map(|(bad, mark)| tried(bad, *mark)).collect();
        let verdict = verdict(&all);
        let blamed = marks[0] == '+' && marks[4] != '+';
        let expected: Vec<Part> = [Model, Image, Configuration]
            .into_iter()
            .zip(&marks[1..4])
            .filter(|(_, mark)| blamed && **mark == '-')
            .map(|(part, _)| part)
            .collect();
        assert_eq!(verdict.guilty, expected, "{marks:?}: {}", verdict.reason);
        guilty_at_all += usize::from(!verdict.guilty.is_empty());
    }
    assert_eq!(guilty_at_all, 2 * (27 - 8), "of 243");
}

#[test]
fn one_part_that_can_be_tried_beside_one_that_can_t() {
    for (marks, guilty) in [("+-", vec![Image]), ("++", vec![]), ("--", vec![])] {
        let pairs = [&[][..], &[Image]].into_iter().zip(marks.chars());
        let all: Vec<Tried> = pairs.map(|(bad, mark)| tried(bad, mark)).collect();
        assert_eq!(verdict(&all).guilty, guilty, "{marks}");
    }
    assert!(verdict(&[]).reason.contains("nothing that differs"));
}

#[test]
fn what_sagemaker_or_a_person_did_says_nothing_against_a_part() {
    let standing = |status, reason: Option<&str>| {
        standing(&TransformJob {
            name: "j".to_owned(),
            status,
            failure_reason: reason.map(str::to_owned),
        })
    };
    assert_eq!(standing(JobStatus::InProgress, None), Standing::Open);
    assert_eq!(standing(JobStatus::Stopping, None), Standing::Open);
    assert_eq!(standing(JobStatus::Completed, None), Standing::Predicted);
    for reason in [
        "AlgorithmError: See job logs for more information",
        "ClientError: Cannot pull algorithm container.",
    ] {
        assert!(
            matches!(
                standing(JobStatus::Failed, Some(reason)),
                Standing::Ended(Outcome::Fails { .. })
            ),
            "{reason}"
        );
    }
    for (status, reason) in [
        (JobStatus::Stopped, None),
        (JobStatus::Failed, None),
        (
            JobStatus::Failed,
            Some("CapacityError: Unable to provision requested ML compute capacity."),
        ),
        (
            JobStatus::Failed,
            Some("InternalServerError: We encountered an internal error."),
        ),
    ] {
        assert!(
            matches!(
                standing(status, reason),
                Standing::Ended(Outcome::Unanswered { .. })
            ),
            "{reason:?}"
        );
    }
}
