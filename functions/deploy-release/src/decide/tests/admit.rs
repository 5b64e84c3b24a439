//! Which half may be part of a release.

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn a_model() {
    let tagged = |scan| Facts {
        tagged_image: Some((image(2, "latest-dev"), scan)),
        ..fresh()
    };
    let mut foreign = package(2, Approval::Approved);
    foreign.group = "churn".into();
    let mut bare = package(2, Approval::Approved);
    bare.metadata.clear();
    let late = Facts {
        caused_at: at(99),
        base: Some(release(3, 1)),
        ..live()
    };
    let deliberate = Facts {
        caused_at: at(300),
        base: Some(release(3, 1)),
        ..live()
    };
    let undone = {
        let facts = Facts {
            caused_at: at(150),
            ..live()
        };
        let pointer = facts.pointer.clone().approved(Some((at(180), Some(3))));
        Facts { pointer, ..facts }
    };
    let behind_an_image = Facts {
        caused_at: at(99),
        pointer: live().pointer.approved(Some((at(50), Some(1)))),
        base: Some(release(3, 1)),
        ..live()
    };
    let judged_against = |champion: &str, was_changed| {
        let mut package = package(2, Approval::Approved);
        package.was_changed = was_changed;
        let champion = champion.to_owned();
        package.metadata.insert("champion".to_owned(), champion);
        Half::Model(package)
    };
    let failed_before = {
        let facts = on_its_way(live(), &release(2, 1), 150);
        let pointer = facts
            .pointer
            .failed(&release(2, 1).id().unwrap(), "health: status 503", at(160))
            .unwrap();
        Facts { pointer, ..facts }
    };
    let failed_by_this_event = Facts {
        caused_at: at(150),
        ..failed_before.clone()
    };
    let cases = vec![
        ("approved", model(2), live(), "deploy", "is Approved"),
        (
            "the event that caused what failed",
            model(2),
            failed_by_this_event,
            "already-failed",
            "status 503",
        ),
        (
            "pending",
            Half::Model(package(2, Approval::PendingManualApproval)),
            live(),
            "skip",
            "waits for a person",
        ),
        (
            "rejected",
            Half::Model(package(2, Approval::Rejected)),
            live(),
            "skip",
            "Rejected",
        ),
        (
            "another group",
            Half::Model(foreign),
            live(),
            "not-for-this-function",
            "churn",
        ),
        (
            "not registered by us",
            Half::Model(bare),
            live(),
            "skip",
            "training_job",
        ),
        (
            "already live",
            model(1),
            live(),
            "already-live",
            "live since",
        ),
        (
            "an approval that came late",
            model(2),
            late,
            "not-for-this-function",
            "is an old one",
        ),
        (
            "an older model approved on purpose",
            model(2),
            deliberate,
            "deploy",
            "is Approved",
        ),
        (
            "a newer model whose approval was undone by a later one",
            model(2),
            undone,
            "not-for-this-function",
            "is an old one",
        ),
        (
            "an approval that waited behind an image",
            model(2),
            behind_an_image,
            "deploy",
            "is Approved",
        ),
        (
            "judged against what is live",
            judged_against(&package(1, Approval::Approved).arn, false),
            live(),
            "deploy",
            "is Approved",
        ),
        (
            "judged against what was live",
            judged_against(&package(7, Approval::Approved).arn, false),
            live(),
            "skip",
            "nobody compared the two",
        ),
        (
            "judged before anything was live",
            judged_against("none", false),
            live(),
            "skip",
            "judged against no live model",
        ),
        (
            "judged against what was live, and approved by a person since",
            judged_against("none", true),
            live(),
            "deploy",
            "is Approved",
        ),
        (
            "another release on its way",
            model(2),
            on_its_way(live(), &release(3, 1), 195),
            "busy",
            "since 6 s",
        ),
        (
            "abandoned release",
            model(2),
            on_its_way(live(), &release(3, 1), -2000),
            "deploy",
            "",
        ),
        (
            "its own release on its way",
            model(2),
            on_its_way(live(), &release(2, 1), 195),
            "deploy",
            "",
        ),
        (
            "failed before",
            model(2),
            failed_before,
            "skip",
            "status 503",
        ),
        (
            "first, no image",
            model(2),
            fresh(),
            "hold",
            "no image is tagged",
        ),
        (
            "first, clean image",
            model(2),
            tagged(clean()),
            "deploy",
            "",
        ),
        (
            "first, vulnerable image",
            model(2),
            tagged(scan("COMPLETE", &[("HIGH", 1)])),
            "hold",
            "1 HIGH",
        ),
        (
            "first, unscanned image",
            model(2),
            tagged(None),
            "hold",
            "not been scanned",
        ),
    ];
    for (name, half, facts, expected, word) in cases {
        let (decision, reason) = said(&half, &facts);
        assert_eq!(decision, expected, "{name}: {reason}");
        assert!(reason.contains(word), "{name}: {reason}");
    }
}

#[test]
fn an_images_scan() {
    let with = |scan| Half::Image(image(2, "latest-dev"), scan);
    let cases = vec![
        ("clean", clean_image(2), live(), "deploy", "scanned clean"),
        (
            "critical",
            with(scan("COMPLETE", &[("CRITICAL", 2), ("HIGH", 1)])),
            live(),
            "skip",
            "2 CRITICAL and 1 HIGH",
        ),
        (
            "high",
            with(scan("ACTIVE", &[("HIGH", 1)])),
            live(),
            "skip",
            "1 HIGH",
        ),
        (
            "scan failed",
            with(scan("FAILED", &[])),
            live(),
            "skip",
            "FAILED",
        ),
        (
            "scan running",
            with(scan("IN_PROGRESS", &[])),
            live(),
            "scanning",
            "waited for 1 s, and 900 s at most",
        ),
        (
            "scan runs on for too long",
            with(scan("IN_PROGRESS", &[])),
            Facts {
                now: at(1100),
                ..live()
            },
            "skip",
            "IN_PROGRESS, and only a finished scan says that it is clean, 900 s after its push (SCAN_LIMIT_S)",
        ),
        (
            "scanner can't read it",
            with(scan("UNSUPPORTED_IMAGE", &[])),
            live(),
            "skip",
            "`scans/` in the artifacts bucket has no result",
        ),
        (
            "not scanned yet",
            with(None),
            live(),
            "scanning",
            "not been scanned",
        ),
        (
            "never scanned",
            with(None),
            Facts {
                now: at(1100),
                ..live()
            },
            "skip",
            "not been scanned",
        ),
        (
            "another environment's",
            Half::Image(image(2, "latest-prod"), clean()),
            live(),
            "not-for-this-function",
            "latest-dev",
        ),
    ];
    for (name, half, facts, expected, word) in cases {
        let (decision, reason) = said(&half, &facts);
        assert_eq!(decision, expected, "{name}: {reason}");
        assert!(reason.contains(word), "{name}: {reason}");
    }
}

#[test]
fn an_image() {
    let waiting = |approval| Facts {
        waiting_model: Some(package(2, approval)),
        ..fresh()
    };
    let cases = [
        ("already live", clean_image(1), live(), "already-live", ""),
        (
            "first, no model",
            clean_image(2),
            fresh(),
            "skip",
            "no model",
        ),
        (
            "first, a model waits",
            clean_image(2),
            waiting(Approval::Approved),
            "deploy",
            "",
        ),
        (
            "first, the model was rejected meanwhile",
            clean_image(2),
            waiting(Approval::Rejected),
            "skip",
            "Rejected",
        ),
    ];
    for (name, half, facts, expected, word) in cases {
        let (decision, reason) = said(&half, &facts);
        assert_eq!(decision, expected, "{name}: {reason}");
        assert!(reason.contains(word), "{name}: {reason}");
    }
}
