//! What is deployed, as the project's files say. Terraform reads the same files.
//!
//! - `infra/functions.json`: [`FunctionsFile`];
//! - `infra/policies/{function}.json`: the function's IAM policy document;
//! - `events/patterns/{function}.json`: [`PatternsFile`], what wakes the function.
//!
//! Every string of them may use the names of [`crate::names`]; a field that isn't described here is
//! an error, so that a slip of the pen doesn't deploy a default.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::names::{NameError, Names};

/// Why the files can't be used. Each names its file.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file can't be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file isn't JSON of the described shape.
    #[error("{}: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A `${…}` is unknown or unclosed.
    #[error("{}: {source}", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// Which one.
        source: NameError,
    },
    /// A variable to set that no function has.
    #[error("infra/functions.json: {function} has no variable {name} to set")]
    Unknown {
        /// The function.
        function: String,
        /// The variable.
        name: String,
    },
    /// A rule that is neither a pattern's nor a schedule's.
    #[error("{}: rule {rule}: {reason}", path.display())]
    Rule {
        /// The file.
        path: PathBuf,
        /// The rule's name.
        rule: String,
        /// What is wrong.
        reason: &'static str,
    },
}

/// `infra/functions.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionsFile {
    /// What holds for each function that doesn't say otherwise.
    pub defaults: Limits,
    /// The functions, by name: crate, function, policy, pattern and Terraform key are called the same.
    pub functions: BTreeMap<String, Overrides>,
    /// Variables that an environment sets otherwise: environment, function, variable.
    #[serde(default)]
    pub environments: BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>,
}

/// How a function runs and how its queue feeds it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Memory, MB; AWS gives CPU in proportion.
    pub memory_mb: u32,
    /// Disk for temporary files (`/tmp`), MB; 512 costs nothing.
    #[serde(default = "least_storage")]
    pub ephemeral_storage_mb: u32,
    /// Longest invocation, seconds. The queue's visibility timeout follows from it.
    pub timeout_s: u32,
    /// Most messages of one invocation.
    pub batch_size: u32,
    /// How long a batch may be waited for, seconds.
    #[serde(default)]
    pub batching_window_s: u32,
    /// Receives after which a message goes to the dead-letter queue. A message that waits by coming
    /// back is received each time, so this lies above the longest wait.
    pub max_receive_count: u32,
    /// Most invocations at once: the mapping's maximum concurrency, 2 to 1000.
    pub concurrency: u32,
    /// AWS only: whether it runs in the cluster's network.
    #[serde(default)]
    pub vpc: bool,
    /// AWS only: the age of the oldest message above which people are told, seconds.
    #[serde(default)]
    pub oldest_message_s: u32,
    /// Environment variables.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

/// What Lambda gives a function that doesn't ask.
fn least_storage() -> u32 {
    512
}

/// A function's own limits; what it leaves out is the defaults'. `environment` is added to theirs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Overrides {
    memory_mb: Option<u32>,
    ephemeral_storage_mb: Option<u32>,
    timeout_s: Option<u32>,
    batch_size: Option<u32>,
    batching_window_s: Option<u32>,
    max_receive_count: Option<u32>,
    concurrency: Option<u32>,
    vpc: Option<bool>,
    oldest_message_s: Option<u32>,
    environment: BTreeMap<String, String>,
    /// Names, with `*`, of the CloudWatch alarms whose action may invoke it past its queue.
    invoked_by_alarms: Vec<String>,
}

impl Overrides {
    fn over(&self, defaults: &Limits) -> Limits {
        let mut environment = defaults.environment.clone();
        environment.extend(self.environment.clone());
        Limits {
            memory_mb: self.memory_mb.unwrap_or(defaults.memory_mb),
            ephemeral_storage_mb: self
                .ephemeral_storage_mb
                .unwrap_or(defaults.ephemeral_storage_mb),
            timeout_s: self.timeout_s.unwrap_or(defaults.timeout_s),
            batch_size: self.batch_size.unwrap_or(defaults.batch_size),
            batching_window_s: self.batching_window_s.unwrap_or(defaults.batching_window_s),
            max_receive_count: self.max_receive_count.unwrap_or(defaults.max_receive_count),
            concurrency: self.concurrency.unwrap_or(defaults.concurrency),
            vpc: self.vpc.unwrap_or(defaults.vpc),
            oldest_message_s: self.oldest_message_s.unwrap_or(defaults.oldest_message_s),
            environment,
        }
    }
}

/// `events/patterns/{function}.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatternsFile {
    /// The rules that wake the function, by name.
    pub rules: BTreeMap<String, RuleSettings>,
}

/// A rule: either `bus` and `pattern`, or `schedule`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSettings {
    /// What the rule is for.
    pub description: String,
    /// `default` for AWS's events, `${event_bus}` for ours.
    pub bus: Option<String>,
    /// EventBridge pattern.
    pub pattern: Option<Value>,
    /// `cron(…)` or `rate(…)`, in UTC.
    pub schedule: Option<String>,
}

/// When a rule fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// On events that match.
    Pattern {
        /// Bus the events are on.
        bus: String,
        /// EventBridge pattern.
        pattern: Value,
    },
    /// On time, by an event of the default bus.
    Schedule(String),
}

impl RuleSettings {
    fn trigger(self) -> Result<Trigger, &'static str> {
        match (self.bus, self.pattern, self.schedule) {
            (Some(bus), Some(pattern), None) => Ok(Trigger::Pattern { bus, pattern }),
            (None, None, Some(schedule)) => Ok(Trigger::Schedule(schedule)),
            (None, Some(_), None) => Err("a pattern needs its bus"),
            (Some(_), None, Some(_)) => Err("schedules are on the default bus: leave bus out"),
            (_, None, None) => Err("needs a pattern or a schedule"),
            (_, Some(_), Some(_)) => Err("has both a pattern and a schedule"),
        }
    }
}

/// All a function's files say, with the names filled.
#[derive(Debug, Clone)]
pub struct FunctionSettings {
    /// How it runs.
    pub limits: Limits,
    /// Its role's policy document.
    pub policy: Value,
    /// What wakes it, with the description, by the rule's name.
    pub rules: BTreeMap<String, (String, Trigger)>,
    /// Names, with `*`, of the alarms whose action may invoke it.
    pub invoked_by_alarms: Vec<String>,
}

/// The project's files, read; names are filled for each function by [`Settings::function`].
#[derive(Debug)]
pub struct Settings {
    root: PathBuf,
    defaults: Limits,
    functions: BTreeMap<String, Overrides>,
    environments: BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>,
}

impl Settings {
    /// Reads `infra/functions.json` below `root`. Names in its `defaults` and `functions` stay as
    /// they are until a function's values are known.
    pub fn read(root: &Path) -> Result<Self, SettingsError> {
        let path = root.join("infra/functions.json");
        let file: FunctionsFile = parse(&path, read(&path)?)?;
        Ok(Self {
            root: root.to_owned(),
            defaults: file.defaults,
            functions: file.functions,
            environments: file.environments,
        })
    }

    /// Sets what the file says of an environment.
    pub fn set_environment(&mut self, environment: &str) -> Result<(), SettingsError> {
        let own = self.environments.get(environment).cloned();
        self.set(&own.unwrap_or_default())
    }

    /// Sets variables of functions otherwise than the file does. A function or a variable that the
    /// file doesn't have is an error: it would change nothing.
    pub fn set(
        &mut self,
        variables: &BTreeMap<String, BTreeMap<String, String>>,
    ) -> Result<(), SettingsError> {
        for (function, variables) in variables {
            for (name, value) in variables {
                let own = self
                    .functions
                    .get_mut(function)
                    .map(|function| &mut function.environment);
                match own.and_then(|own| own.get_mut(name)) {
                    Some(set) => set.clone_from(value),
                    None => {
                        return Err(SettingsError::Unknown {
                            function: function.clone(),
                            name: name.clone(),
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// Names of the functions, in order.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    /// One function's settings, policy and rules; `names` hold its own names too.
    pub fn function(&self, name: &str, names: &Names) -> Result<FunctionSettings, SettingsError> {
        let overrides = self.functions.get(name).cloned().unwrap_or_default();
        let mut limits = overrides.over(&self.defaults);
        let path = self.root.join("infra/functions.json");
        let fill = |text: &str| {
            names.fill_text(text).map_err(|source| SettingsError::Name {
                path: path.clone(),
                source,
            })
        };
        for value in limits.environment.values_mut() {
            *value = fill(value)?;
        }
        let alarms = overrides.invoked_by_alarms.iter();
        let invoked_by_alarms = alarms.map(|name| fill(name)).collect::<Result<_, _>>()?;
        let policy = self.root.join(format!("infra/policies/{name}.json"));
        let patterns = self.root.join(format!("events/patterns/{name}.json"));
        Ok(FunctionSettings {
            limits,
            policy: filled(&policy, names)?,
            rules: rules(&patterns, names)?,
            invoked_by_alarms,
        })
    }

    /// What another than the functions may do: the policy of `infra/policies/roles/{name}.json`.
    pub fn role(&self, name: &str, names: &Names) -> Result<Value, SettingsError> {
        let path = self.root.join(format!("infra/policies/roles/{name}.json"));
        filled(&path, names)
    }
}

fn rules(path: &Path, names: &Names) -> Result<BTreeMap<String, (String, Trigger)>, SettingsError> {
    let file: PatternsFile = parse(path, filled(path, names)?)?;
    let mut rules = BTreeMap::new();
    for (name, settings) in file.rules {
        let description = settings.description.clone();
        let trigger = settings.trigger().map_err(|reason| SettingsError::Rule {
            path: path.to_owned(),
            rule: name.clone(),
            reason,
        })?;
        rules.insert(name, (description, trigger));
    }
    Ok(rules)
}

fn read(path: &Path) -> Result<Value, SettingsError> {
    let text = fs::read(path).map_err(|source| SettingsError::Read {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_slice(&text).map_err(|source| SettingsError::Parse {
        path: path.to_owned(),
        source,
    })
}

fn filled(path: &Path, names: &Names) -> Result<Value, SettingsError> {
    names
        .fill(&read(path)?)
        .map_err(|source| SettingsError::Name {
            path: path.to_owned(),
            source,
        })
}

fn parse<T: DeserializeOwned>(path: &Path, value: Value) -> Result<T, SettingsError> {
    serde_json::from_value(value).map_err(|source| SettingsError::Parse {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
