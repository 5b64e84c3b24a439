//! Which combinations of two releases' parts a batch transform can try.

use std::collections::BTreeMap;

use domain::{
    Result,
    evaluation::GoldenRow,
    names,
    quarantine::{Difference, Part},
    release::Manifest,
};

/// One of the two releases.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// Its id.
    pub release: String,
    /// What it is.
    pub manifest: Manifest,
    /// What its model predicted when it was judged; empty when nothing was kept.
    pub golden: Vec<GoldenRow>,
}

/// A combination to try.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// The parts that are of the bad release; the others are of the good one. None: the control.
    pub bad: Vec<Part>,
    /// The same in words: `bad model, good image`.
    pub combination: String,
    /// Name of the transform job.
    pub job: String,
    /// `s3://…/model.tar.gz`.
    pub model_uri: String,
    /// Image by digest.
    pub image: String,
    /// Variables of the container.
    pub environment: BTreeMap<String, String>,
    /// What the model has to predict; empty when that isn't known.
    pub golden: Vec<GoldenRow>,
}

/// The parts that differ and that a transform runs: a container has a model, an image and variables, but
/// not the endpoint's instances.
pub fn suspects(bad: &Manifest, good: &Manifest, differences: &[Difference]) -> Vec<Part> {
    let has = |what: &str| differences.iter().any(|difference| difference.what == what);
    let variables_differ = bad.configuration.environment != good.configuration.environment;
    let parts = [
        (Part::Model, has("model") || has("data")),
        (Part::Image, has("image")),
        (Part::Configuration, variables_differ),
    ];
    let differing = parts.into_iter().filter(|(_, differs)| *differs);
    differing.map(|(part, _)| part).collect()
}

/// The combinations that tell the suspects apart: the good release itself (without it, a failure says
/// nothing), the good release with each bad part alone, and all bad parts together.
pub fn trials(bad: &Side, good: &Side, suspects: &[Part]) -> Result<Vec<Trial>> {
    if suspects.is_empty() {
        return Ok(vec![]);
    }
    let alone = suspects.iter().map(|part| vec![*part]);
    let mut combinations: Vec<Vec<Part>> = std::iter::once(vec![]).chain(alone).collect();
    if suspects.len() > 1 {
        combinations.push(suspects.to_vec());
    }
    let trial = |parts: Vec<Part>| trial(bad, good, suspects, parts);
    combinations.into_iter().map(trial).collect()
}

fn trial(bad: &Side, good: &Side, suspects: &[Part], parts: Vec<Part>) -> Result<Trial> {
    let of = |part: Part| if parts.contains(&part) { bad } else { good };
    let (model, image) = (of(Part::Model), &of(Part::Image).manifest.image);
    let configuration = &of(Part::Configuration).manifest.configuration;
    let names: Vec<&str> = parts.iter().copied().map(name).collect();
    Ok(Trial {
        combination: words(suspects, &parts),
        job: names::diagnosis_job(&bad.release, &good.release, &names.join(",")),
        model_uri: model.manifest.model.uri.clone(),
        image: image.reference()?,
        environment: configuration.environment.clone(),
        golden: model.golden.clone(),
        bad: parts,
    })
}

fn words(suspects: &[Part], bad: &[Part]) -> String {
    let each = suspects.iter().map(|part| {
        let side = if bad.contains(part) { "bad" } else { "good" };
        format!("{side} {}", name(*part))
    });
    each.collect::<Vec<_>>().join(", ")
}

/// A part as people call it.
pub fn name(part: Part) -> &'static str {
    match part {
        Part::Model => "model",
        Part::Image => "image",
        Part::Configuration => "configuration",
        Part::Release => "combination",
    }
}
