//! EKS tokens: a presigned `sts:GetCallerIdentity` for one cluster, as aws-iam-authenticator checks it.

use std::collections::BTreeMap;

use axum::{
    extract::Query,
    http::{Uri, uri::Authority},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use local_wire::BoxFuture;

use super::VerifyToken;

const PREFIX: &str = "k8s-aws-v1.";
/// Longest token, in bytes.
const LONGEST: usize = 4096;
/// A token is good for this long from its date, whatever its URL says.
const LIFETIME: SignedDuration = SignedDuration::from_mins(15);
/// How far the caller's clock may be ahead.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);
/// Signed header that carries the cluster's name, so that a token is good for one cluster only.
const CLUSTER_HEADER: &str = "x-k8s-aws-id";

/// The parameters that a token's URL may have; STS must not be asked for anything else.
const PARAMETERS: [&str; 9] = [
    "action",
    "version",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
];

/// Why a token isn't believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TokenRefused(pub String);

/// Verifies EKS tokens by sending the presigned request on to STS, with the cluster's name in the
/// signed header.
#[derive(Debug, Clone)]
pub struct StsTokens {
    endpoint: String,
    region: String,
    cluster_name: String,
    http: reqwest::Client,
}

impl StsTokens {
    /// `endpoint` is where STS answers here (`http://127.0.0.1:PORT`); tokens are presigned for
    /// `sts.{region}.amazonaws.com`.
    pub fn new(endpoint: &str, region: &str, cluster_name: &str) -> Self {
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            region: region.to_owned(),
            cluster_name: cluster_name.to_owned(),
            // STS is on this machine, whatever proxy the surroundings name.
            http: reqwest::Client::builder()
                .no_proxy()
                .build()
                .unwrap_or_default(),
        }
    }
}

impl VerifyToken for StsTokens {
    fn verify<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<String, TokenRefused>> {
        Box::pin(async move {
            let host = format!("sts.{}.amazonaws.com", self.region);
            let query = presigned_query(token, &host, Timestamp::now())?;
            let answer = self
                .http
                .get(format!("{}/?{query}", self.endpoint))
                // Signed headers have to arrive as they were signed.
                .header("host", host)
                .header(CLUSTER_HEADER, &self.cluster_name)
                .send()
                .await
                .map_err(|error| TokenRefused(format!("STS can't be asked: {error}")))?;
            let status = answer.status();
            let body = answer
                .text()
                .await
                .map_err(|error| TokenRefused(format!("STS broke off: {error}")))?;
            if !status.is_success() {
                return Err(TokenRefused(format!("STS answered {status}: {body}")));
            }
            let arn = body
                .split_once("<Arn>")
                .and_then(|(_, rest)| rest.split_once("</Arn>"))
                .map(|(arn, _)| arn.trim().to_owned());
            arn.ok_or_else(|| TokenRefused("STS named no caller".to_owned()))
        })
    }
}

/// The query of the presigned URL in `token`, once everything that can be seen without STS is right.
fn presigned_query(token: &str, host: &str, now: Timestamp) -> Result<String, TokenRefused> {
    let refuse = |why: &str| Err(TokenRefused(why.to_owned()));
    if token.len() > LONGEST {
        return refuse("token is too long");
    }
    let Some(encoded) = token.strip_prefix(PREFIX) else {
        return refuse("token has no k8s-aws-v1 prefix");
    };
    let url = BASE64_URL_SAFE_NO_PAD
        .decode(encoded)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|url| url.parse::<Uri>().ok());
    let Some(url) = url else {
        return refuse("token holds no URL");
    };
    if url.scheme_str() != Some("https") || url.authority().map(Authority::as_str) != Some(host) {
        return Err(TokenRefused(format!("token is not for https://{host}")));
    }
    if url.path() != "/" {
        return refuse("token's URL has a path");
    }
    let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(&url) else {
        return refuse("token's URL has no readable query");
    };
    let mut parameters = BTreeMap::new();
    for (name, value) in pairs {
        let name = name.to_ascii_lowercase();
        if !PARAMETERS.contains(&name.as_str()) {
            return Err(TokenRefused(format!("token has a parameter {name}")));
        }
        if parameters.insert(name.clone(), value).is_some() {
            return Err(TokenRefused(format!("token has two parameters {name}")));
        }
    }
    let parameter = |name: &str| parameters.get(name).map(String::as_str).unwrap_or_default();
    if parameter("action") != "GetCallerIdentity" {
        return refuse("token asks for another action");
    }
    if !parameter("x-amz-signedheaders")
        .to_ascii_lowercase()
        .split(';')
        .any(|header| header == CLUSTER_HEADER)
    {
        return refuse("token is signed for no cluster");
    }
    let expires = parameter("x-amz-expires").parse::<i64>();
    if !expires.is_ok_and(|seconds| (0..=LIFETIME.as_secs()).contains(&seconds)) {
        return refuse("token has no X-Amz-Expires of at most 900 seconds");
    }
    let date = DateTime::strptime("%Y%m%dT%H%M%SZ", parameter("x-amz-date"))
        .and_then(|date| date.to_zoned(TimeZone::UTC));
    let Ok(date) = date else {
        return refuse("token has no X-Amz-Date");
    };
    let age = now.duration_since(date.timestamp());
    if age > LIFETIME || age < -AHEAD {
        return refuse("token is out of date");
    }
    Ok(url.query().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "sts.ap-southeast-1.amazonaws.com";
    const QUERY: &str = "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20261121%2Fap-southeast-1%2Fsts%2Faws4_request&X-Amz-Date=20261121T213220Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature=00";

    fn token(url: &str) -> String {
        format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(url))
    }

    fn check(token: &str, now: &str) -> Result<String, TokenRefused> {
        presigned_query(token, HOST, now.parse().unwrap())
    }

    const SOON: &str = "2026-11-21T21:40:00Z";

    #[test]
    fn a_token_for_this_cluster_and_hour_yields_its_query() {
        let token = token(&format!("https://{HOST}/?{QUERY}"));
        assert_eq!(check(&token, SOON).unwrap(), QUERY);
    }

    #[test]
    fn tokens_age() {
        let token = token(&format!("https://{HOST}/?{QUERY}"));
        assert!(check(&token, "2026-11-21T21:47:19Z").is_ok());
        assert!(check(&token, "2026-11-21T21:47:21Z").is_err());
        assert!(check(&token, "2026-11-21T21:20:00Z").is_err());
    }

    #[test]
    fn anything_odd_is_refused() {
        let url = format!("https://{HOST}/?{QUERY}");
        let odd = [
            format!("https://evil.example/?{QUERY}"),
            format!("http://{HOST}/?{QUERY}"),
            format!("https://{HOST}/path?{QUERY}"),
            url.replace("GetCallerIdentity", "AssumeRole"),
            url.replace("%3Bx-k8s-aws-id", ""),
            url.replace("Expires=60", "Expires=901"),
            url.replace("&X-Amz-Date=20261121T213220Z", ""),
            format!("{url}&RoleArn=x"),
            format!("{url}&action=GetCallerIdentity"),
        ];
        for url in odd {
            assert!(check(&token(&url), SOON).is_err(), "{url}");
        }
        assert!(check("k8s-aws-v1.%%%", SOON).is_err());
        assert!(check("other.prefix", SOON).is_err());
        assert!(check(&token(&format!("{url}{}", "x".repeat(LONGEST))), SOON).is_err());
    }
}
