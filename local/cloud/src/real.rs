//! A real cluster, when the environment names one.

use std::{env, fs, path::Path};

use anyhow::{Context as _, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use local_kubernetes::RealCluster;

/// The variables that name a cluster: all of them or none.
const VARIABLES: [&str; 4] = ["K8S_ENDPOINT", "K8S_CA", "K8S_TOKEN", "K8S_NAMESPACE"];
const PEM: &str = "-----BEGIN CERTIFICATE-----";

/// The cluster of the variables `K8S_ENDPOINT`, `K8S_CA`, `K8S_TOKEN` and `K8S_NAMESPACE`; `None`
/// when none of them is set. An empty variable isn't set.
///
/// `K8S_CA` is the certificates as PEM, or PEM in base64 as a kubeconfig has it, or the path of a
/// PEM file.
///
/// # Errors
///
/// Some variables are missing, or one can't be used; the message names them.
pub fn from_environment() -> anyhow::Result<Option<RealCluster>> {
    read(|name| env::var(name).ok())
}

fn read(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<RealCluster>> {
    let values = VARIABLES.map(|name| variable(name).unwrap_or_default());
    let missing: Vec<_> = VARIABLES
        .iter()
        .zip(&values)
        .filter(|(_, value)| value.is_empty())
        .map(|(name, _)| *name)
        .collect();
    if missing.len() == VARIABLES.len() {
        return Ok(None);
    }
    if !missing.is_empty() {
        bail!("a real cluster needs {} too", missing.join(", "));
    }
    let [endpoint, ca, token, namespace] = values;
    if !endpoint.starts_with("https://") {
        bail!("K8S_ENDPOINT: {endpoint} isn't https://HOST:PORT");
    }
    Ok(Some(RealCluster {
        endpoint,
        ca_pem: certificates(&ca).context("K8S_CA")?,
        token,
        namespace,
    }))
}

fn certificates(ca: &str) -> anyhow::Result<String> {
    let pem = if ca.contains(PEM) {
        ca.to_owned()
    } else if Path::new(ca).is_file() {
        fs::read_to_string(ca).with_context(|| ca.to_owned())?
    } else {
        let text: String = ca.split_whitespace().collect();
        let decoded = BASE64_STANDARD.decode(text).ok();
        decoded
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .with_context(|| format!("neither PEM, nor PEM in base64, nor a file: {ca}"))?
    };
    if !pem.contains(PEM) {
        bail!("no PEM certificate is in it");
    }
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(set: &[(&str, &str)]) -> anyhow::Result<Option<RealCluster>> {
        read(|name| {
            let found = set.iter().find(|(set, _)| *set == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn with_ca(ca: &str) -> anyhow::Result<Option<RealCluster>> {
        cluster(&[
            ("K8S_ENDPOINT", "https://10.0.0.1:6443"),
            ("K8S_CA", ca),
            ("K8S_TOKEN", "t"),
            ("K8S_NAMESPACE", "trial"),
        ])
    }

    #[test]
    fn all_variables_or_none() {
        assert_eq!(cluster(&[]).unwrap(), None);
        assert_eq!(cluster(&[("K8S_TOKEN", "")]).unwrap(), None);
        let refused = cluster(&[("K8S_TOKEN", "t"), ("K8S_CA", PEM)]).unwrap_err();
        let refused = refused.to_string();
        assert_eq!(
            refused,
            "a real cluster needs K8S_ENDPOINT, K8S_NAMESPACE too"
        );
    }

    #[test]
    fn the_authority_comes_in_three_forms() {
        let pem = format!("{PEM}\nMIIB\n-----END CERTIFICATE-----\n");
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &pem).unwrap();
        for ca in [
            pem.as_str(),
            &BASE64_STANDARD.encode(&pem),
            file.path().to_str().unwrap(),
        ] {
            assert_eq!(with_ca(ca).unwrap().unwrap().ca_pem, pem);
        }
        for ca in ["/no/such/file.pem", "aGVsbG8="] {
            assert!(with_ca(ca).is_err());
        }
    }
}
