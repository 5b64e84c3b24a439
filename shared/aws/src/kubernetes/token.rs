//! The token that an EKS cluster takes: a presigned `sts:GetCallerIdentity`, as
//! aws-iam-authenticator defines it. The cluster sends the request, and STS says who signed it.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{Error, Result};

/// A cluster takes a token for 15 minutes from its signing; a new one is made a minute before.
pub(super) const LIFE: Duration = Duration::from_mins(14);
/// `X-Amz-Expires`; the cluster reads the life from the date instead.
const EXPIRES: Duration = Duration::from_mins(1);
/// Names the cluster, so that a token for one can't be used at another.
const CLUSTER: &str = "x-k8s-aws-id";

/// The token of `credentials` for a cluster, signed at `now`.
pub(super) fn token(
    cluster: &str,
    region: &str,
    credentials: Credentials,
    now: SystemTime,
) -> Result<String> {
    let wrong = || Error::permanent(format!("signing a token for the EKS cluster {cluster}"));
    // STS in the cluster's region, wherever other calls go: the cluster accepts no other host.
    let url =
        format!("https://sts.{region}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15");
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(EXPIRES);
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| wrong().because(error))?
        .into();
    let signable = SignableRequest::new(
        "GET",
        url.as_str(),
        std::iter::once((CLUSTER, cluster)),
        SignableBody::Bytes(&[]),
    )
    .map_err(|error| wrong().because(error))?;
    let (instructions, _) = sign(signable, &parameters)
        .map_err(|error| wrong().because(error))?
        .into_parts();
    let mut request = http::Request::get(url)
        .body(())
        .map_err(|error| wrong().because(error))?;
    instructions.apply_to_request_http1x(&mut request);
    Ok(format!(
        "k8s-aws-v1.{}",
        URL_SAFE_NO_PAD.encode(request.uri().to_string())
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use jiff::Timestamp;
    use serde_json::Value;

    /// The URL in a token, as host and set of parameters: their order isn't part of the signature.
    fn parts(token: &str) -> (String, BTreeSet<String>) {
        let encoded = token.strip_prefix("k8s-aws-v1.").unwrap();
        assert!(!encoded.contains('='));
        let url = String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap();
        let (host, query) = url.split_once('?').unwrap();
        let parameters = query.split('&').map(str::to_owned).collect();
        (host.to_owned(), parameters)
    }

    #[test]
    fn tokens_are_those_of_botocore() {
        let fixture: Value =
            serde_json::from_str(include_str!("../../fixtures/eks-token.json")).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let now: Timestamp = text(&fixture["time"]).parse().unwrap();
        for vector in fixture["vectors"].as_array().unwrap() {
            let credentials = Credentials::new(
                text(&vector["access_key_id"]),
                text(&fixture["secret_access_key"]),
                vector["session_token"].as_str().map(str::to_owned),
                None,
                "test",
            );
            let token = token(
                &text(&fixture["cluster"]),
                &text(&fixture["region"]),
                credentials,
                now.into(),
            )
            .unwrap();
            assert_eq!(parts(&token), parts(&text(&vector["token"])));
        }
    }
}
