//! The functions' settings, as `infra/functions.json` has them.

use std::sync::LazyLock;

use domain::settings::Settings;
use memory::{ACCOUNT, ARTIFACTS_BUCKET, DATA_BUCKET, REGION};
use serde_json::Value;

/// A function's variables in `infra/functions.json`, with the names that its values may use.
pub(crate) fn settings(function: &str) -> Settings {
    settings_with(function, &[])
}

/// The same with some of them changed.
#[allow(clippy::unwrap_used)]
pub(crate) fn settings_with(function: &str, changed: &[(&str, &str)]) -> Settings {
    static FILE: LazyLock<Value> = LazyLock::new(|| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/functions.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    });
    let variables = |value: &Value| {
        let object = value["environment"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        object
            .into_iter()
            .map(|(name, value)| (name, filled(value.as_str().unwrap_or_default())))
            .collect::<Vec<_>>()
    };
    Settings::new(
        variables(&FILE["defaults"])
            .into_iter()
            .chain(variables(&FILE["functions"][function]))
            .chain(
                changed
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
            ),
    )
}

fn filled(text: &str) -> String {
    let text = text
        .replace("${environment}", "dev")
        .replace("${artifacts_bucket}", ARTIFACTS_BUCKET)
        .replace("${data_bucket}", DATA_BUCKET)
        .replace("${model_package_group}", "retail-forecast-models")
        .replace("${infer_repository}", "retail-forecast-infer")
        .replace("${endpoint_name}", "retail-forecast-dev")
        .replace("${namespace}", "retail-forecast-dev")
        .replace("${frozen}", "")
        .replace("${account}", ACCOUNT)
        .replace("${region}", REGION);
    // What is left names places that the world in memory doesn't have.
    if text.contains("${") {
        "unused".to_owned()
    } else {
        text
    }
}
