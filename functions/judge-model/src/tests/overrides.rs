//! A person's word against a verdict.

use super::*;

#[tokio::test]
async fn a_person_overrides_a_verdict_and_the_gates_verdict_stays_in_the_record() {
    let world = world(1.20, None, 60).await;
    let artifacts = config().artifacts;
    let early = override_request(&world, "ann");
    let Step::Wait { decision, .. } = deliver(&world, &early).await.unwrap() else {
        panic!("nothing is judged yet");
    };
    assert!(matches!(decision, Decision::Wait { .. }), "{decision:?}");
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

    // A repeat of either event says what is so.
    let seen = world.effects().len();
    for repeat in [override_request(&world, "ann"), event] {
        let decision = done(&world, &repeat).await;
        assert_eq!(
            verdict(&decision).0,
            Verdict::OverriddenBy("ann".to_owned())
        );
    }
    assert_eq!(world.made_since(seen), []);
    refused(&world, "bob", "ann has overridden the verdict").await;
}

/// A word is refused, and people are told why.
async fn refused(world: &World, by: &str, why: &str) {
    let decision = done(world, &override_request(world, by)).await;
    assert!(
        matches!(decision, Decision::NothingToOverride { .. }),
        "{decision:?}"
    );
    let announced = world.announcements();
    let told = announced.last().unwrap();
    assert_eq!(told.detail_type, "RequestRefused");
    let (by_whom, reason) = (&told.detail["by"], told.detail["reason"].as_str().unwrap());
    assert_eq!(by_whom, by);
    assert!(reason.contains(why), "{reason}");
}

#[tokio::test]
async fn what_passed_needs_no_override() {
    let world = world(1.02, None, 60).await;
    let event = ends(&world).remove(0);
    let _ = done(&world, &event).await;
    refused(&world, "ann", "nothing keeps it back").await;
}

#[tokio::test]
async fn a_word_before_the_verdict_is_refused_when_none_comes() {
    let world = world(1.02, None, 60).await;
    let asked = override_request(&world, "ann");
    world.advance(config().max_wait);
    let decision = done(&world, &asked).await;
    assert!(
        matches!(decision, Decision::NothingToOverride { .. }),
        "{decision:?}"
    );

    world.script(|_| true, Outcome::Fails("out of memory".to_owned()));
    let event = ends(&world).remove(0);
    let _ = done(&world, &event).await;
    refused(&world, "ann", "is Failed (out of memory)").await;
}
