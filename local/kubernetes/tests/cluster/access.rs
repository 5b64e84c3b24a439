//! Who may do what; EKS's side of the cluster.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::support::{Cluster, NAME, NAMESPACE, cluster, deployment, deployments_path, recorded};

const DEPLOYER: &str = "session-of-deployer";

/// The role that sufficed for a deployer.
pub(crate) async fn grant(cluster: &Cluster) {
    let rbac = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}");
    let role = json!({"metadata": {"name": "deployer"}, "rules": [
        {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": [NAME],
         "verbs": ["get", "list", "watch", "patch"]},
        {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["get", "list"]}
    ]});
    let binding = json!({
        "metadata": {"name": "deployer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"},
        "subjects": [{"kind": "Group", "name": "deployers", "apiGroup": "rbac.authorization.k8s.io"}]
    });
    assert_eq!(cluster.post(&format!("{rbac}/roles"), &role).await.0, 201);
    assert_eq!(
        cluster
            .post(&format!("{rbac}/rolebindings"), &binding)
            .await
            .0,
        201
    );
}

async fn get_as(cluster: &Cluster, token: &str, path: &str) -> (u16, Value) {
    cluster
        .send_as(token, "GET", path, "application/json", None)
        .await
}

#[tokio::test]
async fn a_role_session_may_do_what_its_groups_may() {
    let cluster = cluster().await;
    cluster.create_deployment(&deployment("x:1", 0)).await;
    let path = deployments_path();
    let ours = format!("{path}/{NAME}");
    let (status, _) = get_as(&cluster, DEPLOYER, &ours).await;
    assert_eq!(status, 403, "nothing is granted by itself");
    grant(&cluster).await;
    assert_eq!(get_as(&cluster, DEPLOYER, &ours).await.0, 200);
    let by_name = format!("{path}?fieldSelector=metadata.name={NAME}");
    assert_eq!(get_as(&cluster, DEPLOYER, &by_name).await.0, 200);
    assert_eq!(
        get_as(&cluster, DEPLOYER, &format!("{path}/nosuch")).await,
        (403, recorded("403-other-name.json"))
    );
    let (status, body) = get_as(&cluster, DEPLOYER, &path).await;
    assert_eq!(status, 403);
    assert_eq!(
        body["message"],
        format!(
            "deployments.apps is forbidden: User \"retail-forecast-deployer\" cannot list resource \"deployments\" in API group \"apps\" in the namespace \"{NAMESPACE}\""
        )
    );
    // An apply may patch what is there, but make nothing.
    let apply = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 0}});
    let media_type = "application/apply-patch+yaml";
    let patch = format!("{ours}?fieldManager=us&force=true");
    let patched = cluster
        .send_as(DEPLOYER, "PATCH", &patch, media_type, Some(&apply))
        .await;
    assert_eq!(patched.0, 200, "{}", patched.1);
    cluster
        .send_as("admin-token", "DELETE", &ours, "application/json", None)
        .await;
    let patched = cluster
        .send_as(DEPLOYER, "PATCH", &patch, media_type, Some(&apply))
        .await;
    assert_eq!(patched.0, 403, "{}", patched.1);
}

#[tokio::test]
async fn strangers_are_nobody() {
    let cluster = cluster().await;
    for token in ["session-of-stranger", "nonsense"] {
        let (status, body) = get_as(&cluster, token, "/api/v1/namespaces").await;
        assert_eq!((status, body), (401, recorded("401.json")));
    }
    assert_eq!(get_as(&cluster, "nonsense", "/version").await.0, 200);
    assert_eq!(get_as(&cluster, "nonsense", "/healthz").await.1, "ok");
}

#[tokio::test]
async fn eks_describes_the_cluster_to_those_who_may() {
    let cluster = cluster().await;
    let describe = async |name: &str, key: Option<&str>| {
        let url = format!("{}/clusters/{name}", cluster.running.eks_url);
        let mut request = reqwest::Client::new().get(url);
        if let Some(key) = key {
            let scope = format!("{key}/20261121/ap-southeast-1/eks/aws4_request");
            let header =
                format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00");
            request = request.header("authorization", header);
        }
        let answer = request.send().await.unwrap();
        let code = answer
            .headers()
            .get("x-amzn-errortype")
            .map(|code| code.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        (status, code, body)
    };
    let (status, _, body) = describe("retail-mlops-prod", Some("AKID")).await;
    assert_eq!(status, 200);
    let found = &body["cluster"];
    assert_eq!(found["status"], "ACTIVE");
    assert_eq!(found["endpoint"], cluster.running.api_url.as_str());
    assert_eq!(
        found["arn"],
        "arn:aws:eks:ap-southeast-1:000000000000:cluster/retail-mlops-prod"
    );
    let ca = found["certificateAuthority"]["data"].as_str().unwrap();
    let ca = String::from_utf8(BASE64_STANDARD.decode(ca).unwrap()).unwrap();
    assert_eq!(ca, cluster.running.ca_pem);
    assert!(ca.starts_with("-----BEGIN CERTIFICATE-----"));

    let (status, code, _) = describe("other", Some("AKID")).await;
    assert_eq!(
        (status, code.as_deref()),
        (404, Some("ResourceNotFoundException"))
    );
    let (status, code, body) = describe("retail-mlops-prod", Some("NOBODY")).await;
    assert_eq!(
        (status, code.as_deref()),
        (403, Some("AccessDeniedException"))
    );
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .contains("eks:DescribeCluster")
    );
    let (status, ..) = describe("retail-mlops-prod", None).await;
    assert_eq!(status, 403);
}
