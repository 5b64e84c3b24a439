//! What every client shares: region, credentials, HTTP connections, retries and time limits.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::{behavior_version::BehaviorVersion, http::SharedHttpClient};
use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};
use aws_types::{SdkConfig, region::Region};
use domain::{Error, Result, settings::Settings};

/// Longest wait for a connection.
pub(crate) const CONNECT: Duration = Duration::from_secs(3);
/// Longest single attempt, from connecting to the head of the answer.
const ATTEMPT: Duration = Duration::from_secs(20);
/// Longest call, with its retries.
const OPERATION: Duration = Duration::from_mins(1);
/// Attempts of a call, the first one counted.
const ATTEMPTS: u32 = 3;

/// Services as the endpoint variables spell them.
const SERVICES: [&str; 8] = [
    "S3",
    "SAGEMAKER",
    "ECR",
    "EKS",
    "EVENTBRIDGE",
    "SNS",
    "SQS",
    "CLOUDWATCH",
];

/// The configuration that every client of one program is built from.
///
/// Built once at start. A Lambda function gets its credentials and region from the variables that
/// the runtime sets; no other source is tried, because looking for one costs start-up time.
#[derive(Debug, Clone)]
pub struct Context {
    config: SdkConfig,
    /// Where services are that aren't at AWS's own address, by [`SERVICES`].
    endpoints: BTreeMap<&'static str, String>,
}

impl Context {
    /// Reads `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, for role sessions,
    /// `AWS_SESSION_TOKEN`. `AWS_ENDPOINT_URL` sends all services elsewhere, and
    /// `AWS_ENDPOINT_URL_{S3,SAGEMAKER,ECR,EKS,EVENTBRIDGE,SNS,SQS,CLOUDWATCH}` one of them.
    pub fn new(settings: &Settings) -> Result<Self> {
        let credentials = Credentials::new(
            settings.text("AWS_ACCESS_KEY_ID")?,
            settings.text("AWS_SECRET_ACCESS_KEY")?,
            settings.optional("AWS_SESSION_TOKEN"),
            None,
            "environment",
        );
        Self::build(
            settings,
            http_client(),
            SharedCredentialsProvider::new(credentials),
        )
    }

    /// The same for a pod: without keys in the environment, takes the credentials of the service
    /// account (web identity) or of EKS Pod Identity (container endpoint), which renew themselves.
    /// `AWS_ENDPOINT_URL_STS` moves the exchange, too. They are fetched once here, so that a pod without a role fails at start and says why.
    #[cfg(feature = "pod")]
    pub async fn for_pod(settings: &Settings) -> Result<Self> {
        use aws_config::{
            ecs::EcsCredentialsProvider, meta::credentials::CredentialsProviderChain,
            provider_config::ProviderConfig,
            web_identity_token::WebIdentityTokenCredentialsProvider,
        };
        use aws_credential_types::provider::ProvideCredentials as _;

        if settings.optional("AWS_ACCESS_KEY_ID").is_some() {
            return Self::new(settings);
        }
        let http = http_client();
        let provider = ProviderConfig::without_region()
            .with_region(Some(Region::new(settings.text("AWS_REGION")?)))
            .with_behavior_version(Some(behavior()))
            .with_http_client(http.clone())
            .with_sleep_impl(TokioSleep::new())
            .with_retry_config(retries())
            .with_timeout_config(timeouts());
        let chain = CredentialsProviderChain::first_try(
            "service account",
            WebIdentityTokenCredentialsProvider::builder()
                .configure(&provider)
                .build(),
        )
        .or_else(
            "pod identity",
            EcsCredentialsProvider::builder()
                .configure(&provider)
                .build(),
        );
        chain.provide_credentials().await.map_err(|error| {
            Error::transient(
                "getting the pod's credentials: its service account needs a role, by AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE or by EKS Pod Identity",
            )
            .because(error)
        })?;
        Self::build(settings, http, SharedCredentialsProvider::new(chain))
    }

    fn build(
        settings: &Settings,
        http: SharedHttpClient,
        credentials: SharedCredentialsProvider,
    ) -> Result<Self> {
        let config = SdkConfig::builder()
            .behavior_version(behavior())
            .region(Region::new(settings.text("AWS_REGION")?))
            .credentials_provider(credentials)
            .http_client(http)
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .retry_config(retries())
            .timeout_config(timeouts())
            .build();
        let common = settings.optional("AWS_ENDPOINT_URL");
        let endpoints = SERVICES
            .into_iter()
            .filter_map(|service| {
                let own = settings.optional(&format!("AWS_ENDPOINT_URL_{service}"));
                Some((service, own.or_else(|| common.clone())?))
            })
            .collect();
        Ok(Self { config, endpoints })
    }

    /// The configuration of one service's client, by its name among [`SERVICES`].
    pub(crate) fn of(&self, service: &str) -> SdkConfig {
        let mut config = self.config.to_builder();
        config.set_endpoint_url(self.endpoints.get(service).cloned());
        config.build()
    }

    /// Whether buckets have to stand in the path, because the endpoint's host has no subdomains.
    pub(crate) fn path_style(&self) -> bool {
        self.endpoints.get("S3").is_some_and(|url| {
            let host = host(url);
            host == "localhost" || host.parse::<IpAddr>().is_ok()
        })
    }
}

/// Defaults of the SDK as of this date; a later date may retry or time out otherwise.
fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// Connections shared by all clients. Ring, because aws-lc-rs costs about 27 ms at its first use.
fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

/// Makes ring the crypto provider of this process, for the clients that ask rustls for the default.
#[cfg(any(feature = "probe", feature = "kubernetes"))]
pub(crate) fn use_ring() {
    // An error says that a provider is chosen already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(ATTEMPTS)
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build()
}

/// The host of a URL, without brackets or port.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(v6),
        None => authority.split(':').next().unwrap_or(authority),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(variables: &[(&str, &str)]) -> Result<Context> {
        let keys = [
            ("AWS_REGION", "ap-southeast-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ];
        Context::new(&Settings::new(
            keys.iter()
                .chain(variables)
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        ))
    }

    #[test]
    fn a_service_has_its_own_endpoint_or_the_common_one_or_none() {
        let aws = context(&[]).unwrap();
        assert_eq!(aws.of("SQS").endpoint_url(), None);
        assert!(!aws.path_style());

        let local = context(&[
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
            ("AWS_ENDPOINT_URL_SAGEMAKER", "http://127.0.0.1:4600"),
        ])
        .unwrap();
        assert_eq!(
            local.of("SQS").endpoint_url(),
            Some("http://127.0.0.1:4566")
        );
        assert_eq!(
            local.of("SAGEMAKER").endpoint_url(),
            Some("http://127.0.0.1:4600")
        );
        assert!(local.path_style());
    }

    #[test]
    fn buckets_stand_in_the_path_only_where_the_host_has_no_subdomains() {
        for (url, expected) in [
            ("http://localhost:4566", true),
            ("http://[::1]:4566/", true),
            ("https://10.0.0.7", true),
            (
                "https://bucket.vpce-1.s3.ap-southeast-1.vpce.amazonaws.com",
                false,
            ),
            ("https://localhost.example:1/", false),
        ] {
            let context = context(&[("AWS_ENDPOINT_URL_S3", url)]).unwrap();
            assert_eq!(context.path_style(), expected, "{url}");
        }
    }

    #[test]
    fn a_missing_variable_is_named() {
        let error = context(&[("AWS_REGION", "")]).unwrap_err();
        assert!(error.to_string().contains("AWS_REGION"), "{error}");
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!(
            "{:?}",
            context(&[("AWS_SESSION_TOKEN", "token-1")]).unwrap()
        );
        assert!(
            !shown.contains("\"secret\"") && !shown.contains("token-1"),
            "{shown}"
        );
    }

    /// Runs the test `name` of this module again in a process with these variables and no others:
    /// the providers of a pod's credentials read the process's environment.
    #[cfg(feature = "pod")]
    fn with_environment(name: &str, variables: &[(&str, &str)]) {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args([&format!("context::tests::{name}"), "--exact"])
            .env_clear()
            .env("AWS_REGION", "ap-southeast-1")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && shown.contains("1 passed"),
            "{shown}"
        );
    }

    /// The credentials that a pod with this process's environment gets.
    #[cfg(feature = "pod")]
    async fn of_pod() -> Credentials {
        use aws_credential_types::provider::ProvideCredentials as _;

        let settings = Settings::new(std::env::vars());
        let context = Context::for_pod(&settings).await.unwrap();
        let provider = context.of("S3").credentials_provider().unwrap();
        provider.provide_credentials().await.unwrap()
    }

    #[cfg(feature = "pod")]
    #[tokio::test]
    async fn a_pod_without_keys_asks_its_credentials_endpoint() {
        const ENDPOINT: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
        if std::env::var(ENDPOINT).is_ok() {
            let credentials = of_pod().await;
            assert_eq!(credentials.access_key_id(), "ASIAPOD");
            assert_eq!(credentials.session_token(), Some("token"));
            return;
        }
        let answer = serde_json::json!({
            "AccessKeyId": "ASIAPOD",
            "SecretAccessKey": "secret",
            "Token": "token",
            "Expiration": "2126-01-01T00:00:00Z"
        });
        let stub = crate::stub::Stub::new([(200, answer.clone()), (200, answer)]);
        with_environment(
            "a_pod_without_keys_asks_its_credentials_endpoint",
            &[
                (ENDPOINT, &format!("{}/v1/credentials", stub.url)),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod-token"),
            ],
        );
        assert_eq!(stub.requests()[0].headers["authorization"], "pod-token");
    }

    #[cfg(feature = "pod")]
    #[tokio::test]
    async fn a_pod_of_a_service_account_exchanges_its_token_for_its_role() {
        const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
        if std::env::var(TOKEN_FILE).is_ok() {
            let credentials = of_pod().await;
            assert_eq!(credentials.access_key_id(), "ASIAROLE");
            assert_eq!(credentials.session_token(), Some("session"));
            return;
        }
        let answer = "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
            <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId>\
            <SecretAccessKey>secret</SecretAccessKey><SessionToken>session</SessionToken>\
            <Expiration>2126-01-01T00:00:00Z</Expiration></Credentials>\
            <AssumedRoleUser><AssumedRoleId>id</AssumedRoleId>\
            <Arn>arn:aws:sts::1:assumed-role/retail-forecast-dev-api/s</Arn></AssumedRoleUser>\
            </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";
        let stub = crate::stub::Stub::raw(vec![(200, answer.to_owned()); 2]);
        let file = std::env::temp_dir().join(format!("web-identity-{}", std::process::id()));
        std::fs::write(&file, "service.account.token").unwrap();
        with_environment(
            "a_pod_of_a_service_account_exchanges_its_token_for_its_role",
            &[
                (TOKEN_FILE, file.to_str().unwrap()),
                (
                    "AWS_ROLE_ARN",
                    "arn:aws:iam::1:role/retail-forecast-dev-api",
                ),
                ("AWS_ENDPOINT_URL_STS", &stub.url),
            ],
        );
        std::fs::remove_file(&file).unwrap();
        let requests = stub.requests();
        let body = String::from_utf8_lossy(&requests[0].body);
        for part in [
            "Action=AssumeRoleWithWebIdentity",
            "WebIdentityToken=service.account.token",
            "role%2Fretail-forecast-dev-api",
        ] {
            assert!(body.contains(part), "`{part}` in: {body}");
        }
        // The token is all that a pod has to show: there are no keys to sign with.
        assert!(!requests[0].headers.contains_key("authorization"));
    }
}
