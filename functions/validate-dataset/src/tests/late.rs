//! Late and repeated events: of a file that was written over, that has a new partner, that was deleted.

use super::*;

/// Uploads a pair that is judged by the days up to `to`.
fn upload_pair(world: &World, to: Date) -> [Value; 2] {
    let learned = to.checked_sub(jiff::Span::new().days(30)).unwrap();
    [
        world.upload(DATA_BUCKET, KEY, sales(learned, 200)),
        world.upload(DATA_BUCKET, "validation/sales.csv", sales(to, 30)),
    ]
}

fn reason(decision: Decision) -> String {
    match decision {
        Decision::Superseded { reason } | Decision::Gone { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn of_a_pair_the_newest_files_count() {
    let world = World::new();
    let old = upload_pair(&world, december(1));
    accepted(deliver(&world, &old[1]).await.unwrap());
    world.advance(Duration::from_hours(30 * 24));
    let new = upload_pair(&world, december(31));
    let seen = world.effects().len();
    for (event, key) in [(&old[0], KEY), (&old[1], "validation/sales.csv")] {
        let reason = reason(deliver(&world, event).await.unwrap());
        assert!(
            reason.starts_with(&format!("{key} version version-1 was written over"))
                && reason.contains("version version-2"),
            "{reason}"
        );
    }
    assert_eq!(world.effects().len(), seen);
    let of_training = accepted(deliver(&world, &new[0]).await.unwrap());
    assert_eq!(
        accepted(deliver(&world, &new[1]).await.unwrap()),
        of_training
    );
}

#[tokio::test]
async fn last_months_file_has_no_say_while_the_new_pair_is_half_there() {
    let rows = || sales(Date::constant(2024, 1, 31), 200);
    for (key, late) in [(KEY, 1), ("validation/sales.csv", 0)] {
        let world = World::new();
        let old = upload_pair(&world, december(31));
        world.advance(Duration::from_hours(30 * 24));
        world.upload(DATA_BUCKET, key, rows());
        let reason = reason(deliver(&world, &old[late]).await.unwrap());
        assert!(reason.contains("long before"), "{reason}");
        assert_eq!(world.effects(), []);
    }
}

#[tokio::test]
async fn a_single_file_that_is_written_over_counts_by_itself_unless_its_event_is_late() {
    let world = World::new();
    let old = world.upload(DATA_BUCKET, KEY, sales(december(30), 200));
    world.upload(DATA_BUCKET, KEY, sales(december(31), 200));
    world.advance(Duration::from_secs(899));
    accepted(deliver(&world, &old).await.unwrap());
    world.advance(Duration::from_secs(1));
    let seen = world.effects().len();
    let reason = reason(deliver(&world, &old).await.unwrap());
    assert!(reason.contains("was written over"), "{reason}");
    assert_eq!(world.effects().len(), seen);
}

#[tokio::test]
async fn a_deleted_file_is_gone_though_its_version_can_be_read() {
    for deleted in [0, 1] {
        let world = World::new();
        let pair = upload_pair(&world, december(31));
        let key = [KEY, "validation/sales.csv"][deleted];
        world.mark_deleted(&Location::new(DATA_BUCKET, key));
        let reason = reason(deliver(&world, &pair[deleted]).await.unwrap());
        assert!(reason.contains("was deleted"), "{reason}");
        assert_eq!(world.effects(), []);
    }
}
