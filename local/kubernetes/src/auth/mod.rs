//! Who calls: bearer tokens to users and groups.

mod eks_token;
mod rbac;

use std::{collections::BTreeMap, sync::Arc};

use axum::http::HeaderMap;
use local_wire::BoxFuture;

pub use eks_token::{StsTokens, TokenRefused};
pub(crate) use rbac::{Attributes, allows};

use crate::error::Status;

/// Members of this group may do everything.
const MASTERS: &str = "system:masters";

/// Finds out who made an EKS token.
pub trait VerifyToken: Send + Sync + 'static {
    /// The ARN that STS answers for `token` (`arn:aws:sts::…:assumed-role/ROLE/SESSION`, or a
    /// user's).
    fn verify<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<String, TokenRefused>>;
}

/// What an IAM principal is inside the cluster: an EKS access entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessEntry {
    /// Kubernetes user name; the caller's ARN when there is none.
    pub username: Option<String>,
    /// Kubernetes groups, beside `system:authenticated`.
    pub groups: Vec<String>,
}

/// A caller inside the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: String,
    pub(crate) groups: Vec<String>,
}

impl Identity {
    /// Whom the caller acts as: who its `Impersonate-User` and `Impersonate-Group` headers name,
    /// which is for masters alone; itself without them.
    pub(crate) fn acting(self, headers: &HeaderMap) -> Result<Self, Status> {
        let all = |name: &str| {
            let values = headers.get_all(name).into_iter();
            let values = values.filter_map(|value| value.to_str().ok());
            values.map(str::to_owned).collect::<Vec<_>>()
        };
        let Some(user) = all("impersonate-user").pop() else {
            return Ok(self);
        };
        if !self.groups.iter().any(|group| group == MASTERS) {
            return Err(Status {
                code: 403,
                reason: "Forbidden",
                message: format!(
                    "users {user:?} is forbidden: User {:?} cannot impersonate resource \"users\" in API group \"\" at the cluster scope",
                    self.user
                ),
                details: None,
            });
        }
        let groups = all("impersonate-group");
        Ok(identity(&user, &groups))
    }
}

/// Turns `Authorization` headers into identities.
pub(crate) struct Authenticator {
    pub(crate) admin_token: String,
    pub(crate) tokens: Arc<dyn VerifyToken>,
    /// By ARN of the principal.
    pub(crate) access_entries: BTreeMap<String, AccessEntry>,
}

impl Authenticator {
    /// The identity behind a header; `None` is answered with 401.
    pub(crate) async fn identify(&self, authorization: &str) -> Option<Identity> {
        let token = authorization.strip_prefix("Bearer ")?.trim();
        if !self.admin_token.is_empty() && token == self.admin_token {
            return Some(identity("kubernetes-admin", &[MASTERS.to_owned()]));
        }
        let arn = match self.tokens.verify(token).await {
            Ok(arn) => arn,
            Err(refused) => {
                tracing::info!(%refused, "token refused");
                return None;
            }
        };
        let Some((_, entry)) = self
            .access_entries
            .iter()
            .find(|(principal, _)| is_principal(principal, &arn))
        else {
            tracing::info!(arn, "no access entry");
            return None;
        };
        let user = entry.username.as_deref().unwrap_or(&arn);
        Some(identity(user, &entry.groups))
    }
}

fn identity(user: &str, groups: &[String]) -> Identity {
    let mut groups = groups.to_vec();
    groups.push("system:authenticated".to_owned());
    Identity {
        user: user.to_owned(),
        groups,
    }
}

/// Whether `caller` is `principal`, or a session of that role. A session's ARN leaves out the path
/// of its role.
fn is_principal(principal: &str, caller: &str) -> bool {
    if principal == caller {
        return true;
    }
    let role = |arn: &str, service: &str, kind: &str| {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", partition, found, "", account, rest] if *found == service => {
                let rest = rest.strip_prefix(kind)?;
                Some((
                    (*partition).to_owned(),
                    (*account).to_owned(),
                    rest.to_owned(),
                ))
            }
            _ => None,
        }
    };
    let Some((partition, account, path)) = role(principal, "iam", "role/") else {
        return false;
    };
    let Some((their_partition, their_account, session)) = role(caller, "sts", "assumed-role/")
    else {
        return false;
    };
    let name = path.rsplit('/').next();
    (partition, account) == (their_partition, their_account)
        && session.split_once('/').map(|(name, _)| name) == name
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Always(&'static str);

    impl VerifyToken for Always {
        fn verify<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<String, TokenRefused>> {
            Box::pin(async move {
                match token {
                    "good" => Ok(self.0.to_owned()),
                    _ => Err(TokenRefused("bad".to_owned())),
                }
            })
        }
    }

    fn authenticator(username: Option<&str>) -> Authenticator {
        let entry = AccessEntry {
            username: username.map(str::to_owned),
            groups: vec!["deployers".to_owned()],
        };
        let role = "arn:aws:iam::000000000000:role/team/deploy".to_owned();
        Authenticator {
            admin_token: "admin".to_owned(),
            tokens: Arc::new(Always("arn:aws:sts::000000000000:assumed-role/deploy/s1")),
            access_entries: BTreeMap::from([(role, entry)]),
        }
    }

    #[tokio::test]
    async fn a_session_of_a_role_is_what_its_access_entry_says() {
        let identity = authenticator(None).identify("Bearer good").await.unwrap();
        assert_eq!(
            identity.user,
            "arn:aws:sts::000000000000:assumed-role/deploy/s1"
        );
        assert_eq!(identity.groups, ["deployers", "system:authenticated"]);
        let named = authenticator(Some("deployer"))
            .identify("Bearer good")
            .await;
        assert_eq!(named.unwrap().user, "deployer");
    }

    #[tokio::test]
    async fn nobody_else_is_let_in() {
        let mut authenticator = authenticator(None);
        assert!(authenticator.identify("Bearer bad").await.is_none());
        assert!(authenticator.identify("Basic admin").await.is_none());
        assert!(authenticator.identify("Bearer admin").await.is_some());
        authenticator.tokens = Arc::new(Always("arn:aws:sts::000000000000:assumed-role/other/s1"));
        assert!(authenticator.identify("Bearer good").await.is_none());
        authenticator.tokens = Arc::new(Always("arn:aws:sts::111111111111:assumed-role/deploy/s1"));
        assert!(authenticator.identify("Bearer good").await.is_none());
        authenticator.admin_token.clear();
        assert!(authenticator.identify("Bearer ").await.is_none());
    }
}
