//! Calls as they go over the wire: the cluster's description, then the Kubernetes API.

use std::collections::BTreeMap;

use super::*;
use crate::stub::Stub;
use domain::Class;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;

const DEPLOYMENT: &str = include_str!("../../fixtures/deployment-deadline-exceeded.json");
const CONFLICT: &str = include_str!("../../fixtures/409-apply-conflict.json");

fn workload(container: &str) -> Workload {
    Workload {
        cluster: "retail-forecast-cluster".to_owned(),
        namespace: "retail-forecast-prod".to_owned(),
        deployment: "retail-forecast-api".to_owned(),
        container: container.to_owned(),
    }
}

/// EKS at one address, the Kubernetes API at another.
fn cluster(answers: &[(u16, &str)], container: &str) -> (Kubernetes, Stub, Stub) {
    let answers = answers
        .iter()
        .map(|(status, body)| (*status, (*body).to_owned()));
    let kubernetes = Stub::raw(answers.collect());
    let eks = Stub::new([(200, json!({"cluster": {"endpoint": kubernetes.url}}))]);
    let cluster = Kubernetes::new(&eks.context(), workload(container));
    (cluster, eks, kubernetes)
}

fn patch() -> DeploymentPatch {
    DeploymentPatch {
        image: "registry/infer@sha256:ab".to_owned(),
        environment: BTreeMap::from([("MODEL_URI".to_owned(), "s3://a/m".to_owned())]),
        annotations: BTreeMap::from([("retail-forecast/release".to_owned(), "r".to_owned())]),
    }
}

#[tokio::test]
async fn a_patch_holds_what_we_own_and_nothing_else() {
    let answers = [(200, DEPLOYMENT), (200, DEPLOYMENT)];
    let (cluster, eks, kubernetes) = cluster(&answers, "api");
    let generation = cluster.apply(&patch(), true).await.unwrap();
    let read: KubeDeployment = serde_json::from_str(DEPLOYMENT).unwrap();
    assert_eq!(Some(generation), read.metadata.generation);
    assert_eq!(eks.requests().len(), 1, "the address is asked for once");

    let sent = &kubernetes.requests()[1];
    assert_eq!(sent.method, "PATCH");
    assert!(sent.path.starts_with(
        "/apis/apps/v1/namespaces/retail-forecast-prod/deployments/retail-forecast-api?"
    ));
    assert!(sent.path.contains("force=true") && sent.path.contains("fieldManager=retail-forecast"));
    assert_eq!(sent.headers["content-type"], "application/apply-patch+yaml");
    assert!(sent.headers["authorization"].starts_with("Bearer k8s-aws-v1."));
    let annotations = json!({"retail-forecast/release": "r"});
    assert_eq!(
        sent.json(),
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "retail-forecast-api", "annotations": annotations},
            "spec": {"template": {
                "metadata": {"annotations": annotations},
                "spec": {"containers": [{
                    "name": "api",
                    "image": "registry/infer@sha256:ab",
                    "env": [{"name": "MODEL_URI", "value": "s3://a/m"}]
                }]}
            }}
        })
    );
}

#[tokio::test]
async fn without_force_another_manager_is_an_error_with_its_name() {
    let (cluster, _eks, kubernetes) = cluster(&[(200, DEPLOYMENT), (409, CONFLICT)], "api");
    let error = cluster.apply(&patch(), false).await.unwrap_err();
    assert_eq!(error.class(), Class::Permanent);
    assert!(
        error.to_string().contains("retail-forecast-deployer"),
        "{error}"
    );
    assert!(!kubernetes.requests()[1].path.contains("force"));
}

#[tokio::test]
async fn a_container_that_is_not_there_is_never_added() {
    let (cluster, _eks, kubernetes) = cluster(&[(200, DEPLOYMENT)], "retail-forecast-api");
    let error = cluster.apply(&patch(), true).await.unwrap_err();
    assert_eq!(error.class(), Class::Permanent);
    assert!(error.to_string().contains("[\"api\"]"), "{error}");
    assert_eq!(kubernetes.requests().len(), 1);
}

#[tokio::test]
async fn a_missing_deployment_is_none_and_a_refused_token_is_thrown_away() {
    let status = |code: u16, reason: &str| {
        json!({"kind": "Status", "status": "Failure", "reason": reason, "code": code}).to_string()
    };
    let answers = [
        (404, status(404, "NotFound")),
        (401, status(401, "Unauthorized")),
        (503, status(503, "ServiceUnavailable")),
    ];
    let answers: Vec<_> = answers.iter().map(|(c, b)| (*c, b.as_str())).collect();
    let (cluster, _eks, kubernetes) = cluster(&answers, "api");
    assert_eq!(cluster.deployment().await.unwrap(), None);
    let error = cluster.deployment().await.unwrap_err();
    assert_eq!(error.class(), Class::Transient);
    assert!(error.to_string().contains("access entry"), "{error}");
    assert!(cluster.session.lock().unwrap().is_none());
    let error = cluster.deployment().await.unwrap_err();
    assert_eq!(error.class(), Class::Transient);
    assert_eq!(kubernetes.requests().len(), 3, "no hidden retries");
}

#[test]
fn a_cluster_reached_over_tls_must_bring_its_authority() {
    assert!(Address::read("https://abc.eks.amazonaws.com", None).is_err());
    assert!(Address::read("https://abc.eks.amazonaws.com", Some("!")).is_err());
    let pem = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
    let address =
        Address::read("https://abc.eks.amazonaws.com", Some(&STANDARD.encode(pem))).unwrap();
    assert_eq!(address.authority, [[1, 2, 3]]);
}

/// A certificate authority as PEM, and a server's configuration with a certificate of it.
fn authority() -> (String, rustls::ServerConfig) {
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let server = server.signed_by(&key, &issuer).unwrap();
    crate::context::use_ring();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![server.der().clone()],
            rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    (pem, config)
}

#[tokio::test]
async fn the_token_goes_to_the_cluster_s_authority_only() {
    let (ours, config) = authority();
    let (foreign, _) = authority();
    let kubernetes = Stub::tls(vec![(200, DEPLOYMENT.to_owned())], config);
    let at = |authority: &str| {
        let data = STANDARD.encode(authority);
        let cluster = json!({"endpoint": kubernetes.url, "certificateAuthority": {"data": data}});
        Stub::new([(200, json!({"cluster": cluster}))])
    };
    let eks = at(&foreign);
    let error = Kubernetes::new(&eks.context(), workload("api"))
        .deployment()
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{}", error.chain());
    assert!(kubernetes.requests().is_empty(), "no token was sent");

    let eks = at(&ours);
    let cluster = Kubernetes::new(&eks.context(), workload("api"));
    assert!(cluster.deployment().await.unwrap().is_some());
}
