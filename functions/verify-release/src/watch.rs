//! Alarms follow the pointer.
//!
//! The owner's alarms, and the endpoint's, watch what is live; a candidate has none of its own once it was
//! judged, and what was live before may be silent. Two things would let an alarm be deaf:
//! - CloudWatch tells changes of a state, and an alarm that is put again keeps its own. One that is in ALARM
//!   and is re-pointed to a release that is bad as well would never speak: it is removed first, and begins anew.
//! - An invocation that is held up writes late. So whoever has written looks whether the pointer still says so.

use convergence::idle_alarms;
use domain::{
    Result,
    alarms::candidate_names,
    ports::{AlarmSpec, Alarms, ObjectStore},
    records,
    release::{Manifest, Pointer, Progress, endpoint_config},
};
use jiff::Timestamp;

use crate::{Config, decide::Decision};

/// How long after its verdict a release's alarms still begin anew: a crash came, and the message is back.
const STILL_NEW_S: i64 = 600;

/// Whether the alarms have to forget what they saw: the release was judged now, or a moment ago.
pub(crate) fn is_new(judged_at: Option<Timestamp>, now: Timestamp) -> bool {
    judged_at.is_none_or(|at| now.as_second() - at.as_second() < STILL_NEW_S)
}

/// Lets the alarms follow a verdict. `before` was known good when it was reached.
pub(crate) async fn watch<S: ObjectStore, W: Alarms>(
    config: &Config,
    (store, alarms): (&S, &W),
    decision: &Decision,
    before: Option<&str>,
    is_new: bool,
) -> Result<()> {
    match decision {
        Decision::Verified { verified } => {
            live(config, (store, alarms), &verified.release, before, is_new).await
        }
        Decision::Restored { restored } => {
            let from = Some(restored.from.as_str());
            live(config, (store, alarms), &restored.release, from, is_new).await
        }
        Decision::Failed { failed } => {
            let over = candidate_names(&config.alarms.namespace, &failed.release);
            alarms.remove_alarms(&over).await
        }
        _ => Ok(()),
    }
}

/// A release that isn't the target any more may have been watched, late, by an invocation that died: what the
/// pointer says is watched.
pub(crate) async fn superseded<S: ObjectStore, W: Alarms>(
    config: &Config,
    (store, alarms): (&S, &W),
    release: &str,
    pointer: &Pointer,
) -> Result<()> {
    let at = config.artifacts().release(release);
    if records::read::<Manifest>(store, &at).await?.is_none() {
        return Ok(());
    }
    match moved(pointer, release) {
        Moved::To(other) => live(config, (store, alarms), other, Some(release), false).await,
        Moved::Away => forget(config, (store, alarms), &[release.to_owned()], pointer).await,
        Moved::Not => Ok(()),
    }
}

/// Where the pointer has gone meanwhile.
#[derive(Debug, PartialEq, Eq)]
enum Moved<'a> {
    /// The release is live.
    Not,
    /// Another one was verified.
    To(&'a str),
    /// It isn't live any more, and what follows isn't yet.
    Away,
}

fn moved<'a>(pointer: &'a Pointer, release: &str) -> Moved<'a> {
    let live = pointer
        .known_good
        .as_ref()
        .map(|good| good.release.as_str());
    match &pointer.target {
        Some(target) if target.progress == Progress::Verified && target.release != release => {
            Moved::To(&target.release)
        }
        _ if live == Some(release) => Moved::Not,
        _ => Moved::Away,
    }
}

/// Watches what is live, and nothing of `from`; then whatever the pointer says by then.
async fn live<S: ObjectStore, W: Alarms>(
    config: &Config,
    (store, alarms): (&S, &W),
    release: &str,
    from: Option<&str>,
    is_new: bool,
) -> Result<()> {
    let artifacts = config.artifacts();
    let (mut release, mut is_new) = (release.to_owned(), is_new);
    let mut seen: Vec<String> = from.into_iter().map(str::to_owned).collect();
    loop {
        let manifest = records::manifest(store, &artifacts, &release).await?;
        put(config, alarms, &release, &manifest, is_new).await?;
        seen.push(release.clone());
        let now = records::pointer(store, &artifacts, &config.environment)
            .await?
            .value;
        if let Moved::To(other) = moved(&now, &release) {
            other.clone_into(&mut release);
            // What was watched in between may have left its state.
            is_new = true;
            continue;
        }
        let good = now.known_good.iter();
        seen.extend(good.filter_map(|good| good.earlier.first()).cloned());
        return forget(config, (store, alarms), &seen, &now).await;
    }
}

async fn put(
    config: &Config,
    alarms: &impl Alarms,
    release: &str,
    manifest: &Manifest,
    is_new: bool,
) -> Result<()> {
    let mut specs: Vec<AlarmSpec> = config.alarms.live(release);
    // The endpoint's are the same ones where both releases are served by the same configuration.
    specs.extend(config.endpoint_alarms.of(&endpoint_config(manifest)?));
    if is_new {
        let names: Vec<String> = specs.iter().map(|alarm| alarm.name.clone()).collect();
        alarms.remove_alarms(&names).await?;
    }
    for alarm in &specs {
        alarms.ensure_alarm(alarm).await?;
    }
    Ok(())
}

/// Removes the alarms of candidates and of what was live, as far as the pointer doesn't need them.
async fn forget<S: ObjectStore, W: Alarms>(
    config: &Config,
    (store, alarms): (&S, &W),
    releases: &[String],
    pointer: &Pointer,
) -> Result<()> {
    let (artifacts, namespace) = (config.artifacts(), config.alarms.namespace.as_str());
    let mut over = vec![];
    for release in releases {
        over.extend(idle_alarms((&artifacts, namespace), store, pointer, release).await?);
    }
    alarms.remove_alarms(&over).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn alarms_begin_anew_until_a_while_after_the_verdict() {
        assert!(is_new(None, at(5000)));
        assert!(is_new(Some(at(5000)), at(5599)));
        assert!(!is_new(Some(at(5000)), at(5600)));
    }

    #[test]
    fn what_is_watched_is_what_the_pointer_says() {
        let a = Pointer::empty("dev")
            .aim("a", at(1), at(1), "first")
            .verified("a", at(2))
            .unwrap();
        let canary = a.aim("b", at(3), at(3), "second").try_out(1, 3);
        let b = a
            .aim("b", at(3), at(3), "second")
            .verified("b", at(4))
            .unwrap();
        let restore = domain::release::Restore {
            now: at(5),
            caused_at: at(5),
            cause: "alarm".to_owned(),
        };
        let restoring = b.restore("a", "b", 1, restore);
        let cases = [
            (&a, "a", Moved::Not),
            (&canary, "a", Moved::Not),
            (&b, "b", Moved::Not),
            (&b, "a", Moved::To("b")),
            (&restoring, "b", Moved::Away),
            (&restoring, "a", Moved::Not),
        ];
        for (pointer, release, expected) in cases {
            assert_eq!(moved(pointer, release), expected, "{release} {pointer:?}");
        }
    }
}
