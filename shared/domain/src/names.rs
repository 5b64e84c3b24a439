//! Names and tokens, computed from what caused them and never from a clock or a random source, so
//! that a repeated event finds its own work instead of doing it twice.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::{Error, Result};

/// Every training job, transform job and release of ours starts with this.
pub const PROJECT: &str = "retail-forecast";

/// Every build id starts with this: the rules select training jobs by it.
const BUILD: &str = "build-";
/// Most characters of a SageMaker resource's name.
const MOST_OF_A_NAME: usize = 63;

/// Suffix of the transform job that predicts with the model under judgement.
pub const CANDIDATE: &str = "-candidate";
/// Suffix of the transform job that predicts the same rows with the live model.
pub const CHAMPION: &str = "-champion";

/// SHA-256 of the parts, lower-case hex. Each part is preceded by its length, so that no two
/// different lists of parts can run together into the same bytes.
pub fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(hash.finalize())
}

/// SHA-256 of bytes, lower-case hex.
pub fn digest_bytes(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The first twelve hexadecimal characters of a digest: long enough for names, short enough to read.
pub fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// A client token for AWS calls that take one: 36 characters at most, from the cause.
pub fn client_token(parts: &[&str]) -> String {
    digest(parts)[..32].to_owned()
}

/// Build id of a training caused by data: in one environment the same data with the same parameters is the
/// same build. Environments may share an account, where a job's name can be had once. `salt` tells apart a
/// retraining that somebody asked for; it is empty for an upload.
pub fn build_id(
    environment: &str,
    dataset: &str,
    hyperparameters: &BTreeMap<String, String>,
    salt: &str,
) -> String {
    let parameters: Vec<String> = hyperparameters
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!(
        "build-{}",
        short(&digest(&[
            environment,
            dataset,
            &parameters.join(","),
            salt
        ]))
    )
}

/// Name of the training job of a build. Build ids may come from an event: one that the rules wouldn't select
/// the job by, or that leaves no room for the names of its transform jobs, is refused before anything is
/// trained.
pub fn training_job(build_id: &str) -> Result<String> {
    let name = format!("{PROJECT}-{build_id}");
    let is_selected = build_of(&name).is_some();
    if is_selected && checked(name.clone()).is_ok() && transform_jobs(&name).is_ok() {
        return Ok(name);
    }
    let most = MOST_OF_A_NAME - PROJECT.len() - 1 - BUILD.len() - CANDIDATE.len();
    let shown: String = build_id.chars().take(MOST_OF_A_NAME).collect();
    Err(Error::malformed(format!(
        "`{shown}` is no build id: one is `{BUILD}` with up to {most} letters, digits and inner hyphens after it"
    )))
}

/// The build id in a training job's name; `None` when the job isn't one of ours.
pub fn build_of(training_job: &str) -> Option<&str> {
    training_job
        .strip_prefix(PROJECT)?
        .strip_prefix('-')
        .filter(|build| build.starts_with(BUILD))
}

/// Names of the two transform jobs that judge a training job's model.
pub fn transform_jobs(training_job: &str) -> Result<(String, String)> {
    Ok((
        checked(format!("{training_job}{CANDIDATE}"))?,
        checked(format!("{training_job}{CHAMPION}"))?,
    ))
}

/// The training job that a transform job judges; `None` when it isn't a judging transform of ours.
pub fn judged_training_job(transform_job: &str) -> Option<&str> {
    let training_job = transform_job
        .strip_suffix(CANDIDATE)
        .or_else(|| transform_job.strip_suffix(CHAMPION))?;
    build_of(training_job).map(|_| training_job)
}

/// Name of the transform job by which the weekly check scores a live model on a data set.
pub fn check_job(release: &str, dataset: &str) -> String {
    format!("{PROJECT}-check-{}", short(&digest(&[release, dataset])))
}

/// Name of the transform job that tries one combination of the parts of two releases; `bad` names the
/// parts that are of the release that went wrong.
pub fn diagnosis_job(from: &str, release: &str, bad: &str) -> String {
    format!(
        "{PROJECT}-diagnose-{}",
        short(&digest(&[from, release, bad]))
    )
}

/// Name of a SageMaker model for a model artifact in an image, with these variables of the container.
pub fn model_name(model_uri: &str, image: &str, environment: &BTreeMap<String, String>) -> String {
    let pairs = environment.iter();
    let pairs = pairs.flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    let parts: Vec<&str> = [model_uri, image].into_iter().chain(pairs).collect();
    format!("{PROJECT}-{}", short(&digest(&parts)))
}

/// Name of the endpoint configuration that serves a model package: the same package with the same
/// instance settings has the same configuration.
pub fn endpoint_config(environment: &str, package_arn: &str, settings: &str) -> Result<String> {
    checked(format!(
        "{PROJECT}-{environment}-{}",
        short(&digest(&[package_arn, settings]))
    ))
}

/// SageMaker's rule for names: `[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}`.
fn checked(name: String) -> Result<String> {
    let mut characters = name.chars();
    let good = name.len() <= MOST_OF_A_NAME
        && characters.next().is_some_and(|c| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '-');
    if good {
        Ok(name)
    } else {
        Err(Error::malformed(format!(
            "`{name}` can't name a SageMaker resource: up to {MOST_OF_A_NAME} letters, digits and inner hyphens"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_eq!(digest(&["ab", "c"]), digest(&["ab", "c"]));
        assert!(client_token(&["x"]).len() <= 36);
    }

    #[test]
    fn a_model_is_its_artifact_its_image_and_its_variables() {
        let variables = |value: &str| BTreeMap::from([("A".to_owned(), value.to_owned())]);
        let plain = model_name("s3://a/m", "i", &BTreeMap::new());
        assert_eq!(
            plain,
            format!("{PROJECT}-{}", short(&digest(&["s3://a/m", "i"])))
        );
        let one = model_name("s3://a/m", "i", &variables("1"));
        assert_ne!(plain, one);
        assert_ne!(one, model_name("s3://a/m", "i", &variables("2")));
    }

    #[test]
    fn a_build_is_its_data_and_parameters() {
        let mut parameters = BTreeMap::from([("n_estimators".to_owned(), "200".to_owned())]);
        let first = build_id("dev", "0123456789ab", &parameters, "");
        assert_eq!(first, build_id("dev", "0123456789ab", &parameters, ""));
        assert_ne!(first, build_id("dev", "ffff56789abc", &parameters, ""));
        assert_ne!(first, build_id("staging", "0123456789ab", &parameters, ""));
        assert_ne!(
            first,
            build_id("dev", "0123456789ab", &parameters, "request-1")
        );
        parameters.insert("max_depth".to_owned(), "10".to_owned());
        assert_ne!(first, build_id("dev", "0123456789ab", &parameters, ""));
    }

    #[test]
    fn names_lead_back_to_their_training_job() {
        let job = training_job("build-17-0a1b2c3").unwrap();
        assert_eq!(job, "retail-forecast-build-17-0a1b2c3");
        assert_eq!(build_of(&job), Some("build-17-0a1b2c3"));
        let (candidate, champion) = transform_jobs(&job).unwrap();
        assert_eq!(judged_training_job(&candidate), Some(job.as_str()));
        assert_eq!(judged_training_job(&champion), Some(job.as_str()));
        for foreign in [
            "retail-forecast-check-0a1b2c3d4e5f",
            "other-build-1-candidate",
            &job,
            "",
        ] {
            assert_eq!(judged_training_job(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn names_that_sagemaker_would_refuse_are_refused_here() {
        for bad in [
            "build-ä",
            "build-1-",
            "build-",
            &format!("build-{}", "9".repeat(60)),
            "build 1",
            // No rule would select its job.
            "nightly-7",
        ] {
            assert!(training_job(bad).is_err(), "{bad}");
        }
        // What is said fits, and one more wouldn't: the transform jobs' names are longer.
        let of = |length| training_job(&format!("build-{}", "9".repeat(length)));
        assert!(transform_jobs(&of(31).unwrap()).is_ok());
        let refused = of(32).unwrap_err().to_string();
        assert!(refused.contains("up to 31 letters"), "{refused}");
    }
}
