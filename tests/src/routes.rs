//! Which functions an event wakes, by the very files that Terraform and the local cloud read.

use std::{collections::BTreeMap, fs, path::Path};

use events::pattern::Pattern;
use memory::{ACCOUNT, ARTIFACTS_BUCKET, REGION};
use serde_json::Value;

/// A rule of one function.
struct Rule {
    function: String,
    name: String,
    /// Whether it is on the environment's own bus; AWS's events are on the default bus.
    ours: bool,
    pattern: Pattern,
}

/// All rules of all functions.
pub struct Routes {
    rules: Vec<Rule>,
    /// `rule name -> function` of the schedules.
    schedules: BTreeMap<String, String>,
}

impl Routes {
    /// Reads `events/patterns`, with this bucket of uploads.
    ///
    /// # Panics
    /// When a file isn't what it should be: this is test support.
    #[allow(clippy::unwrap_used, clippy::panic)]
    pub fn read(data_bucket: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/patterns");
        let mut routes = Self {
            rules: vec![],
            schedules: BTreeMap::new(),
        };
        let mut paths: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        for path in paths {
            let function = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let file: Value =
                serde_json::from_str(&filled(&fs::read_to_string(&path).unwrap(), data_bucket))
                    .unwrap();
            for (name, rule) in file["rules"].as_object().unwrap() {
                if rule["schedule"].is_string() {
                    routes.schedules.insert(name.clone(), function.clone());
                    continue;
                }
                let pattern = Pattern::parse(&rule["pattern"])
                    .unwrap_or_else(|error| panic!("{}: {name}: {error}", path.display()));
                let ours = rule["bus"] != "default";
                routes.rules.push(Rule {
                    function: function.clone(),
                    name: name.clone(),
                    ours,
                    pattern,
                });
            }
        }
        routes
    }

    /// `function/rule` of every rule that the event matches.
    pub fn of(&self, envelope: &Value) -> Vec<String> {
        let ours = envelope["source"] == events::announced::SOURCE;
        let matched = self
            .rules
            .iter()
            .filter(|rule| rule.ours == ours && rule.pattern.matches(envelope));
        let mut routes: Vec<String> = matched
            .map(|rule| format!("{}/{}", rule.function, rule.name))
            .collect();
        if envelope["detail-type"] == "Scheduled Event" {
            let resource = envelope["resources"][0].as_str().unwrap_or_default();
            let scheduled = self
                .schedules
                .iter()
                .filter(|(rule, _)| resource.ends_with(rule.as_str()));
            routes.extend(scheduled.map(|(rule, function)| format!("{function}/{rule}")));
        }
        routes
    }

    /// The functions that the event wakes; EventBridge delivers to each rule's target.
    pub fn functions(&self, envelope: &Value) -> Vec<String> {
        let routes = self.of(envelope);
        routes
            .iter()
            .filter_map(|route| route.split('/').next().map(str::to_owned))
            .collect()
    }
}

fn filled(text: &str, data_bucket: &str) -> String {
    let names = [
        ("${environment}", "dev"),
        ("${account}", ACCOUNT),
        ("${region}", REGION),
        ("${data_bucket}", data_bucket),
        ("${artifacts_bucket}", ARTIFACTS_BUCKET),
        ("${event_bus}", "retail-forecast-dev"),
        ("${model_package_group}", "retail-forecast-models"),
        ("${infer_repository}", "retail-forecast-infer"),
        ("${endpoint_name}", "retail-forecast-dev"),
    ];
    names.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(name, value)
    })
}
