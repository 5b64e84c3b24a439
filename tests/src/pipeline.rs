//! The functions behind their queues: events are routed, delivered at least once, and come back
//! when a handler waits or fails.

use std::{
    collections::VecDeque,
    future::Future,
    pin::pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll, Waker},
    time::Duration,
};

use domain::{Class, Result, Step, ports::Clock as _};
use events::Received;
use memory::{CrashPoint, DATA_BUCKET, World};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    Disorder, Routes,
    settings::{settings, settings_with},
};

/// A message in a function's queue.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) function: String,
    pub(crate) envelope: Value,
    /// Virtual seconds until it is visible.
    hidden: Duration,
    received: u32,
}

/// The pipeline.
pub struct Pipeline {
    /// The world that the functions act on.
    pub world: World,
    routes: &'static Routes,
    pub(crate) queue: VecDeque<Message>,
    /// What each invocation decided: function and decision.
    pub decisions: Vec<(String, Value)>,
    /// Messages that were refused for good: function and reason.
    pub dead_letters: Vec<(String, String)>,
    /// Events that were delivered, oldest first.
    pub delivered: Vec<Value>,
    config: Arc<Configs>,
    disorder: Option<Disorder>,
    /// The detail type of events that never arrive.
    lost: Option<&'static str>,
    /// Crashes yet to come, the next one first.
    crashes: VecDeque<CrashPoint>,
}

/// The functions' settings, as `infra/functions.json` has them.
#[derive(Clone)]
struct Configs {
    validate: validate_dataset::Config,
    training: start_training::Config,
    evaluation: start_evaluation::Config,
    judge: judge_model::Config,
    register: register_model::Config,
    deploy: deploy_release::Config,
    canary: judge_canary::Config,
    verify: verify_release::Config,
    roll_back: roll_back::Config,
    diagnose: diagnose_release::Config,
    check: check_model::Config,
    notify: notify::Config,
}

impl Configs {
    #[allow(clippy::unwrap_used)]
    fn read() -> Self {
        Self {
            validate: validate_dataset::Config::read(&settings("validate-dataset")).unwrap(),
            training: start_training::Config::read(&settings("start-training")).unwrap(),
            evaluation: start_evaluation::Config::read(&settings("start-evaluation")).unwrap(),
            judge: judge_model::Config::read(&settings("judge-model")).unwrap(),
            register: register_model::Config::read(&settings("register-model")).unwrap(),
            deploy: deploy_release::Config::read(&settings("deploy-release")).unwrap(),
            canary: judge_canary::Config::read(&settings("judge-canary")).unwrap(),
            verify: verify_release::Config::read(&settings("verify-release")).unwrap(),
            roll_back: roll_back::Config::read(&settings("roll-back")).unwrap(),
            diagnose: diagnose_release::Config::read(&settings("diagnose-release")).unwrap(),
            check: check_model::Config::read(&settings("check-model")).unwrap(),
            notify: notify::Config::read(&settings("notify")).unwrap(),
        }
    }
}

/// How often a message may come back before the story is stuck.
const MOST_RECEIVES: u32 = 200;

/// Services go a step at least this often: a rollout doesn't stand still because a message is late.
const SERVICES_MOVE: Duration = Duration::from_secs(10);

impl Pipeline {
    /// All functions on a world, with the settings of the project.
    ///
    /// # Panics
    /// When the project's settings don't fit the functions: this is test support.
    pub fn new(world: World) -> Self {
        // Tens of thousands of pipelines are made; the files are read once.
        static ROUTES: LazyLock<Routes> = LazyLock::new(|| Routes::read(DATA_BUCKET));
        static CONFIGS: LazyLock<Arc<Configs>> = LazyLock::new(|| Arc::new(Configs::read()));
        Self {
            world,
            routes: &ROUTES,
            queue: VecDeque::new(),
            decisions: vec![],
            dead_letters: vec![],
            delivered: vec![],
            config: Arc::clone(&CONFIGS),
            disorder: None,
            lost: None,
            crashes: VecDeque::new(),
        }
    }

    /// Gives `deploy-release` another setting.
    ///
    /// # Panics
    /// When it isn't one that the function can read.
    #[allow(clippy::unwrap_used)]
    pub fn set_for_deployments(&mut self, variable: &str, value: &str) {
        let changed = settings_with("deploy-release", &[(variable, value)]);
        let deploy = deploy_release::Config::read(&changed).unwrap();
        Arc::make_mut(&mut self.config).deploy = deploy;
    }

    /// Another pipeline that begins as this one is now, on a world of its own.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            world: self.world.fork(),
            routes: self.routes,
            queue: self.queue.clone(),
            decisions: self.decisions.clone(),
            dead_letters: self.dead_letters.clone(),
            delivered: self.delivered.clone(),
            config: Arc::clone(&self.config),
            disorder: self.disorder.clone(),
            lost: self.lost,
            crashes: self.crashes.clone(),
        }
    }

    /// From now on messages come late, in any order, more than once, and processes die.
    pub fn disturb(&mut self, disorder: Disorder) {
        self.disorder = Some(disorder);
    }

    /// From now on events of a detail type never arrive: AWS sends some on best effort.
    pub fn lose(&mut self, detail_type: &'static str) {
        self.lost = Some(detail_type);
    }

    /// Processes die at these points; each counts from the one before it.
    pub fn crash_at(&mut self, points: impl IntoIterator<Item = CrashPoint>) {
        self.crashes = points.into_iter().collect();
        self.world.crash_at(self.crashes.pop_front());
    }

    /// Takes an event to each function whose rule matches it.
    pub fn deliver(&mut self, envelope: &Value) {
        if self
            .lost
            .is_some_and(|lost| envelope["detail-type"] == lost)
        {
            return;
        }
        self.delivered.push(envelope.clone());
        for function in self.routes.functions(envelope) {
            self.send(&function, envelope);
        }
    }

    /// Hands a function an event past every rule, as an alarm's action does.
    pub fn send(&mut self, function: &str, envelope: &Value) {
        let copies = match &mut self.disorder {
            Some(disorder) => disorder.copies(),
            None => vec![Duration::ZERO],
        };
        for hidden in copies {
            self.queue.push_back(Message {
                function: function.to_owned(),
                envelope: envelope.clone(),
                hidden,
                received: 0,
            });
        }
    }

    /// Runs until nothing moves: every message handled, every service at rest.
    ///
    /// # Panics
    /// When a message comes back for ever.
    pub fn settle(&mut self) {
        while self.moves() {}
    }

    /// Runs until nothing moves or so much time has passed; whether something may still move.
    ///
    /// # Panics
    /// When a message comes back for ever.
    pub fn settle_within(&mut self, limit: Duration) -> bool {
        let begun = self.world.now();
        while self.world.now().duration_since(begun).unsigned_abs() < limit {
            if !self.moves() {
                return false;
            }
        }
        true
    }

    /// Handles what is there and lets services or time move on; false when nothing moves.
    pub fn moves(&mut self) -> bool {
        self.work();
        let events = self.world.run_services();
        for event in &events {
            self.deliver(event);
        }
        !events.is_empty() || self.wake()
    }

    /// Handles every visible message; no service moves and no time passes.
    pub fn work(&mut self) {
        while let Some(at) = self.next() {
            self.step(at);
        }
    }

    /// A visible message: the first, or any one in disorder.
    fn next(&mut self) -> Option<usize> {
        let visible = self.queue.iter().enumerate();
        let visible = visible.filter(|(_, message)| message.hidden.is_zero());
        let visible: Vec<usize> = visible.map(|(at, _)| at).collect();
        let pick = match &mut self.disorder {
            Some(disorder) if !visible.is_empty() => disorder.pick(visible.len()),
            _ => 0,
        };
        visible.get(pick).copied()
    }

    /// Lets time pass towards the next hidden message, but services move on meanwhile; false when none is.
    fn wake(&mut self) -> bool {
        let Some(shortest) = self.queue.iter().map(|message| message.hidden).min() else {
            return false;
        };
        let shortest = shortest.min(SERVICES_MOVE);
        self.world.advance(shortest);
        for message in &mut self.queue {
            message.hidden = message.hidden.saturating_sub(shortest);
        }
        true
    }

    fn step(&mut self, at: usize) {
        let Some(mut message) = self.queue.remove(at) else {
            return;
        };
        message.received += 1;
        assert!(
            message.received < MOST_RECEIVES,
            "{} comes back for ever: {}",
            message.function,
            message.envelope
        );
        if let Some(disorder) = &mut self.disorder {
            self.world.crash_at(disorder.crash());
        }
        let answer = Received::from_value(message.envelope.clone())
            .and_then(|received| self.invoke(&message.function, received));
        if self.world.is_dead() {
            self.world.revive();
            self.world.crash_at(self.crashes.pop_front());
        }
        self.answered(message, answer);
    }

    /// What becomes of a message once it was handled, and of what was announced meanwhile.
    pub(crate) fn answered(&mut self, mut message: Message, answer: Result<Step<Value>>) {
        match answer {
            Ok(Step::Done(decision)) => self.decisions.push((message.function, decision)),
            Ok(Step::Wait { after, decision }) => {
                self.decisions.push((message.function.clone(), decision));
                message.hidden = after.max(Duration::from_secs(1));
                self.queue.push_back(message);
            }
            Err(error) if error.class() == Class::Transient => {
                message.hidden = Duration::from_secs(2);
                self.queue.push_back(message);
            }
            Err(error) => self.dead_letters.push((message.function, error.chain())),
        }
        // What was announced before a crash is on the bus all the same.
        for event in self.world.drain_announcements() {
            self.deliver(&event);
        }
    }

    /// One invocation of a function, without its queue.
    pub fn invoke(&self, function: &str, received: Received) -> Result<Step<Value>> {
        ready(self.invocation(function, received))
    }

    /// One invocation of a function, which waits where calls take turns.
    #[expect(clippy::too_many_lines, reason = "an arm for each function")]
    pub(crate) async fn invocation(
        &self,
        function: &str,
        received: Received,
    ) -> Result<Step<Value>> {
        let (world, config) = (&self.world, &self.config);
        match function {
            "validate-dataset" => {
                let ports = validate_dataset::Ports {
                    store: world,
                    bus: world,
                    clock: world,
                };
                shown(validate_dataset::handle(&config.validate, &ports, received).await)
            }
            "start-training" => {
                shown(start_training::handle(&config.training, world, world, world, received).await)
            }
            "start-evaluation" => {
                let ports = start_evaluation::Ports {
                    store: world,
                    jobs: world,
                    images: world,
                    bus: world,
                };
                shown(start_evaluation::handle(&config.evaluation, &ports, received).await)
            }
            "judge-model" => {
                let ports = judge_model::Ports {
                    store: world,
                    transforms: world,
                    bus: world,
                    clock: world,
                };
                shown(judge_model::handle(&config.judge, &ports, received).await)
            }
            "register-model" => {
                shown(register_model::handle(&config.register, world, world, world, received).await)
            }
            "deploy-release" => {
                let ports = deploy_release::Ports {
                    store: world,
                    sagemaker: world,
                    images: world,
                    cluster: world,
                    alarms: world,
                    bus: world,
                    clock: world,
                };
                shown(deploy_release::handle(&config.deploy, &ports, received).await)
            }
            "judge-canary" => {
                let ports = judge_canary::Ports {
                    store: world,
                    cluster: world,
                    metrics: world,
                    bus: world,
                    clock: world,
                };
                shown(judge_canary::handle(&config.canary, &ports, received).await)
            }
            "verify-release" => {
                let ports = verify_release::Ports {
                    store: world,
                    endpoints: world,
                    cluster: world,
                    api: world,
                    alarms: world,
                    bus: world,
                    clock: world,
                };
                shown(verify_release::handle(&config.verify, &ports, received).await)
            }
            "roll-back" => {
                let ports = roll_back::Ports {
                    store: world,
                    sagemaker: world,
                    cluster: world,
                    alarms: world,
                    bus: world,
                    clock: world,
                };
                shown(roll_back::handle(&config.roll_back, &ports, received).await)
            }
            "diagnose-release" => {
                let ports = diagnose_release::Ports {
                    store: world,
                    sagemaker: world,
                    bus: world,
                    clock: world,
                };
                shown(diagnose_release::handle(&config.diagnose, &ports, received).await)
            }
            "check-model" => {
                let ports = check_model::Ports {
                    store: world,
                    transforms: world,
                    bus: world,
                };
                shown(check_model::handle(&config.check, &ports, received).await)
            }
            "notify" => shown(notify::handle(&config.notify, world, world, world, received).await),
            other => Err(domain::Error::permanent(format!("no function `{other}`"))),
        }
    }

    /// What is still in the queues, in words and in order.
    pub fn pending(&self) -> Vec<String> {
        let told = self.queue.iter().map(|message| {
            let (kind, detail) = (
                &message.envelope["detail-type"],
                &message.envelope["detail"],
            );
            format!(
                "{} {kind} {} in {:?}",
                message.function, detail["id"], message.hidden
            )
        });
        let mut told: Vec<String> = told.collect();
        told.sort();
        told
    }

    /// Kinds of decisions of a function, oldest first.
    pub fn decided(&self, function: &str) -> Vec<String> {
        let decisions = self
            .decisions
            .iter()
            .filter(|(name, _)| name == function)
            .map(|(_, decision)| decision);
        decisions
            .filter_map(|decision| decision["decision"].as_str().map(str::to_owned))
            .collect()
    }
}

fn shown<D: Serialize>(step: Result<Step<D>>) -> Result<Step<Value>> {
    let value = |decision: &D| {
        serde_json::to_value(decision).unwrap_or_else(|error| json!(error.to_string()))
    };
    Ok(match step? {
        Step::Done(decision) => Step::Done(value(&decision)),
        Step::Wait { after, decision } => Step::Wait {
            after,
            decision: value(&decision),
        },
    })
}

/// The world in memory never waits, so one poll is enough.
#[allow(clippy::panic)]
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a port of the world in memory waited"),
    }
}
