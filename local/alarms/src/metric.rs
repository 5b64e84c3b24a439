//! What is measured, and how a period of it becomes one value.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

/// One metric: name, namespace and exactly these dimensions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Metric {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) dimensions: BTreeMap<String, String>,
}

/// How a period's values become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Statistic {
    Average,
    Sum,
    Minimum,
    Maximum,
    SampleCount,
}

impl Statistic {
    /// As the API names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Average => "Average",
            Self::Sum => "Sum",
            Self::Minimum => "Minimum",
            Self::Maximum => "Maximum",
            Self::SampleCount => "SampleCount",
        }
    }
}

/// A dimension or a tag, on the wire.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Dimension {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl Metric {
    /// The dimensions as a list, each with its name and value under these keys.
    pub(crate) fn described(&self, [name, value]: [&str; 2]) -> Value {
        let dimensions = self.dimensions.iter();
        dimensions
            .map(|(key, text)| json!({name: key, value: text}))
            .collect()
    }
}

/// A dimension list as a map.
pub(crate) fn dimensions(list: Vec<Dimension>) -> BTreeMap<String, String> {
    list.into_iter()
        .map(|dimension| (dimension.name, dimension.value))
        .collect()
}
