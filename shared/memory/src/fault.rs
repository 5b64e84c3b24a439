//! Effect points, and the faults that can be injected at them.

use std::task::Poll;

use domain::{Error, Result, ports::Ensured};

use crate::{World, state::State};

/// On which side of an effect the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The effect doesn't happen.
    Before,
    /// The effect happens, and its caller never learns of it.
    After,
}

/// Where the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashPoint {
    /// Which effect from now; 1 is the next one.
    pub effect: usize,
    /// Before it or after it.
    pub when: When,
}

/// One mutating call that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// Method of the port.
    pub name: &'static str,
    /// What it acted on: a location, a name, an ARN, a subject.
    pub subject: String,
    /// Whether the world changed. A lost swap and an announcement that was made before are
    /// [`Ensured::AlreadySo`].
    pub ensured: Ensured,
}

impl std::fmt::Display for Effect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {:?}", self.name, self.subject, self.ensured)
    }
}

/// Something that happens in the middle of an invocation.
struct Interleaving {
    pattern: String,
    act: Box<dyn FnOnce(&World)>,
}

/// Injected faults, and what was done in spite of them.
#[derive(Default)]
pub(crate) struct Faults {
    /// Where the process dies; counts down.
    crash: Option<CrashPoint>,
    /// Why every call fails.
    dead: Option<String>,
    unreadable: Vec<String>,
    /// Effects that are refused for good, and in which words.
    refused: Vec<(String, String)>,
    /// Whether every call waits for its turn.
    takes_turns: bool,
    interleavings: Vec<Interleaving>,
    effects: Vec<Effect>,
}

impl Clone for Faults {
    /// What somebody else was to do once isn't done twice: it stays with the original.
    fn clone(&self) -> Self {
        Self {
            crash: self.crash,
            dead: self.dead.clone(),
            unreadable: self.unreadable.clone(),
            refused: self.refused.clone(),
            takes_turns: self.takes_turns,
            interleavings: vec![],
            effects: self.effects.clone(),
        }
    }
}

impl Faults {
    fn alive(&self, call: &str) -> Result<()> {
        self.dead.as_ref().map_or(Ok(()), |death| {
            Err(Error::transient(format!(
                "{call}: the process is dead ({death})"
            )))
        })
    }

    fn die(&mut self, side: &str, call: &str) -> Error {
        let death = format!("injected crash {side} {call}");
        self.dead = Some(death.clone());
        Error::transient(death)
    }

    /// Counts an effect point; answers on which side of this one the process dies, if it does.
    fn count(&mut self) -> Option<When> {
        let crash = self.crash.as_mut()?;
        crash.effect = crash.effect.checked_sub(1)?;
        (crash.effect == 0).then_some(crash.when)
    }
}

impl World {
    /// Lets the process die at an effect from now on: the call answers a transient error and every
    /// later call fails, until [`World::revive`]. `None` takes an order back.
    pub fn crash_at(&self, point: Option<CrashPoint>) {
        self.state.borrow_mut().faults.crash = point;
    }

    /// Whether the injected crash has happened.
    pub fn is_dead(&self) -> bool {
        self.state.borrow().faults.dead.is_some()
    }

    /// Starts a new process: calls succeed again, and no crash is ordered.
    pub fn revive(&self) {
        let mut state = self.state.borrow_mut();
        state.faults.dead = None;
        state.faults.crash = None;
    }

    /// Lets reads fail whose `{method} {subject}` contains the pattern (`get s3://…`, `package
    /// arn:…`, `deployment`, `health`), until [`World::let_reads_succeed`].
    pub fn fail_reads_of(&self, pattern: &str) {
        let mut state = self.state.borrow_mut();
        state.faults.unreadable.push(pattern.to_owned());
    }

    /// Takes back every [`World::fail_reads_of`].
    pub fn let_reads_succeed(&self) {
        self.state.borrow_mut().faults.unreadable.clear();
    }

    /// Lets effects be refused for good whose `{method} {subject}` contains the pattern
    /// (`ensure_training retail-…`), in these words, until [`World::let_effects_succeed`].
    pub fn refuse_effects_of(&self, pattern: &str, words: &str) {
        let mut state = self.state.borrow_mut();
        let refused = &mut state.faults.refused;
        refused.push((pattern.to_owned(), words.to_owned()));
    }

    /// Takes back every [`World::refuse_effects_of`].
    pub fn let_effects_succeed(&self) {
        self.state.borrow_mut().faults.refused.clear();
    }

    /// Runs `act` once, just before the next effect whose `{method} {subject}` contains the pattern:
    /// what somebody else does between a function's read and its write.
    pub fn interleave(&self, pattern: &str, act: impl FnOnce(&World) + 'static) {
        let mut state = self.state.borrow_mut();
        state.faults.interleavings.push(Interleaving {
            pattern: pattern.to_owned(),
            act: Box::new(act),
        });
    }

    /// From now on each call of a port waits once before it does anything, so that who polls the futures says
    /// whose turn it is. Until then no call ever waits.
    pub fn take_turns(&self, takes_turns: bool) {
        self.state.borrow_mut().faults.takes_turns = takes_turns;
    }

    async fn turn(&self) {
        let mut waits = self.state.borrow().faults.takes_turns;
        std::future::poll_fn(|_| {
            if std::mem::take(&mut waits) {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }

    /// Every effect so far, oldest first.
    pub fn effects(&self) -> Vec<Effect> {
        self.state.borrow().faults.effects.clone()
    }

    /// Effects after the first `seen` that changed the world: empty when a repeat made nothing new.
    pub fn made_since(&self, seen: usize) -> Vec<Effect> {
        let state = self.state.borrow();
        let later = state.faults.effects.iter().skip(seen);
        later
            .filter(|effect| effect.ensured == Ensured::Made)
            .cloned()
            .collect()
    }

    /// One mutating call of a port. `act` answers the call's result and whether the world changed; a
    /// call that `act` refuses is an effect point too, but nothing was done.
    pub(crate) async fn effect<T>(
        &self,
        name: &'static str,
        subject: &str,
        act: impl FnOnce(&mut State) -> Result<(T, Ensured)>,
    ) -> Result<T> {
        let call = format!("{name} {subject}");
        self.turn().await;
        self.run_interleaving(&call)?;
        let mut state = self.state.borrow_mut();
        let crash = state.faults.count();
        if crash == Some(When::Before) {
            return Err(state.faults.die("before", &call));
        }
        let mut refused = state.faults.refused.iter();
        let refusal = refused.find(|(pattern, _)| call.contains(pattern));
        let outcome = match refusal.map(|(_, words)| words.clone()) {
            Some(words) => Err(Error::permanent(format!("{call}: {words}"))),
            None => act(&mut state),
        };
        if let Ok((_, ensured)) = &outcome {
            state.faults.effects.push(Effect {
                name,
                subject: subject.to_owned(),
                ensured: *ensured,
            });
        }
        if crash == Some(When::After) {
            return Err(state.faults.die("after", &call));
        }
        outcome.map(|(answer, _)| answer)
    }

    fn run_interleaving(&self, call: &str) -> Result<()> {
        let next = {
            let mut state = self.state.borrow_mut();
            state.faults.alive(call)?;
            let all = &mut state.faults.interleavings;
            let position = all.iter().position(|one| call.contains(&one.pattern));
            position.map(|position| all.remove(position))
        };
        // The state isn't borrowed here, so that the closure can use the world.
        if let Some(interleaving) = next {
            (interleaving.act)(self);
        }
        Ok(())
    }

    /// One reading call of a port.
    pub(crate) async fn look<T>(
        &self,
        name: &str,
        subject: &str,
        look: impl FnOnce(&State) -> T,
    ) -> Result<T> {
        self.turn().await;
        let state = self.state.borrow();
        let call = format!("{name} {subject}");
        state.faults.alive(&call)?;
        if state
            .faults
            .unreadable
            .iter()
            .any(|part| call.contains(part))
        {
            return Err(Error::transient(format!("injected failure of {call}")));
        }
        Ok(look(&state))
    }
}

#[cfg(test)]
mod tests {
    use domain::{Class, layout::Location, ports::ObjectStore as _};

    use super::*;
    use crate::ready;

    fn at(key: &str) -> Location {
        Location::new("b", key)
    }

    fn put(world: &World, key: &str) -> Result<()> {
        ready(world.put(&at(key), b"1".to_vec(), "text/plain"))
    }

    #[test]
    fn a_crash_before_leaves_no_trace_and_a_crash_after_does() {
        for (when, happened) in [(When::Before, false), (When::After, true)] {
            let world = World::new();
            world.crash_at(Some(CrashPoint { effect: 2, when }));
            put(&world, "first").unwrap();
            let error = put(&world, "second").unwrap_err();
            assert_eq!(error.class(), Class::Transient);
            assert!(error.to_string().contains("injected crash"), "{error}");
            assert_eq!(world.read(&at("second")).is_some(), happened);
            assert_eq!(world.effects().len(), 1 + usize::from(happened));

            assert!(world.is_dead());
            assert!(put(&world, "third").is_err());
            assert!(ready(world.get(&at("first"))).is_err());
            assert_eq!(world.read(&at("third")), None);

            world.revive();
            put(&world, "second").unwrap();
            put(&world, "third").unwrap();
        }
    }

    #[test]
    fn an_order_to_crash_can_be_taken_back() {
        let world = World::new();
        let when = When::Before;
        world.crash_at(Some(CrashPoint { effect: 1, when }));
        world.crash_at(None);
        put(&world, "first").unwrap();

        world.crash_at(Some(CrashPoint { effect: 1, when }));
        world.revive();
        put(&world, "second").unwrap();
    }

    #[test]
    fn a_repeat_makes_nothing_new() {
        let world = World::new();
        put(&world, "a").unwrap();
        let seen = world.effects().len();
        put(&world, "a").unwrap();
        assert_eq!(world.made_since(seen), []);
        put(&world, "b").unwrap();
        assert_eq!(world.made_since(seen)[0].to_string(), "put s3://b/b: Made");
    }

    #[test]
    fn a_failing_read_is_an_error_and_spares_the_others() {
        let world = World::new();
        world.fail_reads_of("get s3://b/secret");
        assert!(ready(world.get(&at("secret"))).is_err());
        assert_eq!(ready(world.get(&at("open"))).unwrap(), None);
        world.let_reads_succeed();
        assert_eq!(ready(world.get(&at("secret"))).unwrap(), None);
    }

    #[test]
    fn where_calls_take_turns_each_waits_once() {
        let world = World::new();
        world.take_turns(true);
        let (first, second) = (at("first"), at("second"));
        let mut both = std::pin::pin!(async {
            world.put(&first, b"1".to_vec(), "text/plain").await?;
            world.get(&second).await
        });
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(both.as_mut().poll(&mut context).is_pending());
        assert_eq!(world.read(&first), None);
        assert!(both.as_mut().poll(&mut context).is_pending());
        assert!(world.read(&first).is_some());
        world.write(&second, b"2".to_vec());
        let Poll::Ready(read) = both.as_mut().poll(&mut context) else {
            panic!("two calls wait twice");
        };
        assert!(read.unwrap().is_some(), "it reads when its turn comes");
    }

    #[test]
    fn somebody_else_can_act_in_between_once() {
        let world = World::new();
        world.interleave("put s3://b/mine", |world| {
            world.write(&at("theirs"), b"2".to_vec());
        });
        put(&world, "other").unwrap();
        assert_eq!(world.read(&at("theirs")), None);
        put(&world, "mine").unwrap();
        assert!(world.read(&at("theirs")).is_some());
        world.delete(&at("theirs"));
        put(&world, "mine").unwrap();
        assert_eq!(world.read(&at("theirs")), None);
    }
}
