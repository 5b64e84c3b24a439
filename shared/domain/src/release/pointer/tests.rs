use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn only_a_verified_release_becomes_known_good_and_a_failed_one_lends_nothing() {
    let empty = Pointer::empty("dev");
    assert_eq!(empty.base(), None);

    let a = empty.aim("release-a", at(1), at(1), "test");
    assert!(a.target.as_ref().unwrap().progress.is_open());
    assert_eq!(a.base(), None);
    let a = a.verified("release-a", at(2)).unwrap();
    assert_eq!(a.base(), Some("release-a"));

    let b = a.aim("release-b", at(3), at(3), "test");
    assert_eq!(b.base(), Some("release-a"));
    let b = b
        .failed("release-b", "rollout: 0 of 2 pods", at(3))
        .unwrap();
    assert_eq!(b.base(), Some("release-a"));
    assert_eq!(b.known_good.as_ref().unwrap().release, "release-a");

    let c = b
        .aim("release-c", at(4), at(4), "test")
        .verified("release-c", at(5))
        .unwrap();
    assert_eq!(c.known_good.as_ref().unwrap().earlier, ["release-a"]);
}

#[test]
fn a_canary_is_tried_out_measured_and_promoted_once() {
    let live = Pointer::empty("dev")
        .aim("a", at(1), at(1), "test")
        .verified("a", at(2))
        .unwrap();
    assert_eq!(live.promote("a", at(3)), None);
    let canary = live.aim("b", at(10), at(9), "test").try_out(1, 3);
    assert_eq!(canary.base(), Some("a"));
    assert_eq!(canary.bake("a", at(11)), None);
    let baking = canary.bake("b", at(20)).unwrap();
    assert_eq!(baking.bake("b", at(21)), None);
    let rolling = baking.promote("b", at(50)).unwrap();
    assert_eq!(rolling.promote("b", at(51)), None);
    let target = rolling.target.unwrap();
    assert_eq!(target.progress, Progress::Deploying);
    assert_eq!((target.since, target.rolling_since()), (at(10), at(50)));
}

#[test]
fn the_way_back_goes_to_what_is_known_good_and_never_to_the_previous() {
    let verified = |pointer: &Pointer, release: &str| {
        pointer
            .aim(release, at(1), at(1), "test")
            .verified(release, at(2))
            .unwrap()
    };
    let restore = |pointer: &Pointer, good: &str, bad: &str| {
        let why = Restore {
            now: at(9),
            caused_at: at(8),
            cause: "alarm".to_owned(),
        };
        pointer.restore(good, bad, 1, why)
    };
    // Good A, B that was good until its alarm, C that never was.
    let b = verified(&verified(&Pointer::empty("dev"), "a"), "b");
    assert_eq!(b.refuges("b"), ["a"]);
    let back = restore(&b, "a", "b").verified("a", at(10)).unwrap();
    assert_eq!(back.known_good.as_ref().unwrap().release, "a");
    let good = back.known_good.as_ref().unwrap();
    assert!(good.earlier.is_empty() && good.brought_back);
    let failed = b.aim("c", at(11), at(11), "test");
    let still = restore(&failed, "b", "c").known_good.unwrap();
    assert!(!still.brought_back && still.since == at(2), "{still:?}");
    let anew = verified(&back, "d").known_good.unwrap();
    assert!(!anew.brought_back, "{anew:?}");
    let c = back.aim("c", at(11), at(11), "test");
    assert_eq!(c.refuges("c"), ["a"]);
    // Nothing to go back to.
    assert!(
        verified(&Pointer::empty("dev"), "a")
            .refuges("a")
            .is_empty()
    );
    // Past a refuge that can't be used.
    let d = verified(&b, "d");
    assert_eq!(d.refuges("d"), ["b", "a"]);
    assert_eq!(restore(&d, "a", "d").refuges("d"), ["a"]);
}

#[test]
fn a_verdict_counts_once_and_only_for_the_target() {
    let pointer = Pointer::empty("dev").aim("release-a", at(1), at(1), "test");
    assert_eq!(pointer.verified("release-b", at(2)), None);
    let verified = pointer.verified("release-a", at(2)).unwrap();
    assert_eq!(verified.verified("release-a", at(3)), None);
    assert_eq!(verified.failed("release-a", "late", at(3)), None);
}

#[test]
fn what_was_judged_last_is_remembered_until_something_else_was() {
    let a = Pointer::empty("dev")
        .aim("a", at(1), at(1), "test")
        .verified("a", at(2))
        .unwrap();
    assert_eq!(a.before, None);
    let b = a.aim("b", at(3), at(3), "test");
    assert_eq!(b.before, a.target);
    // An abandoned one was never judged.
    let c = b.aim("c", at(4), at(4), "test");
    assert_eq!(c.before, a.target);
    let c = c.failed("c", "health: 503", at(5)).unwrap();
    let why = Restore {
        now: at(6),
        caused_at: at(5),
        cause: "failed".to_owned(),
    };
    assert_eq!(c.restore("a", "c", 1, why).before, c.target);
}
