//! A person's word against a verdict.

use super::*;

#[tokio::test]
async fn a_person_overrides_a_verdict_and_the_gates_verdict_stays_in_the_record() {
    let world = world(1.20, None, 60).await;
    let artifacts = config().artifacts;
    let early = override_request(&world, "ann");
    let decision = done(&world, &early).await;
    assert!(
        matches!(decision, Decision::NothingToOverride { .. }),
        "nothing is judged yet"
    );

    let event = ends(&world).remove(0);
    assert_eq!(verdict(&done(&world, &event).await).0, Verdict::Fail);
    let decision = done(&world, &override_request(&world, "ann")).await;
    assert!(
        matches!(decision, Decision::Override { .. }),
        "{decision:?}"
    );
    let judgement = stored(&world, &artifacts.judgement(JOB));
    assert_eq!(judgement["verdict"], json!({"overridden-by": "ann"}));
    assert_eq!(judgement["overridden"]["verdict"], "fail");
    assert_eq!(
        stored(&world, &artifacts.evaluation_results(JOB))["approved"],
        true
    );
    assert_eq!(
        world.announcements().last().unwrap().detail["verdict"],
        json!({"overridden-by": "ann"})
    );

    // A repeat of either event, or another person's word, says what is so.
    let seen = world.effects().len();
    for repeat in [
        override_request(&world, "ann"),
        override_request(&world, "bob"),
        event,
    ] {
        let decision = done(&world, &repeat).await;
        assert_eq!(
            verdict(&decision).0,
            Verdict::OverriddenBy("ann".to_owned())
        );
    }
    assert_eq!(world.made_since(seen), []);
}

#[tokio::test]
async fn what_passed_needs_no_override() {
    let world = world(1.02, None, 60).await;
    let event = ends(&world).remove(0);
    let _ = done(&world, &event).await;
    let seen = world.effects().len();
    let decision = done(&world, &override_request(&world, "ann")).await;
    assert!(matches!(decision, Decision::NothingToOverride { .. }));
    assert_eq!(world.effects().len(), seen);
}
