//! Who calls, and may they: IAM for the services that the emulator doesn't have.
//!
//! The emulator checks the calls it answers itself. A stand-in asks here, and gets the answer that
//! the caller's role's policies give, as they are deployed.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use anyhow::Context as _;
use local_wire::{
    Authorize, BoxFuture, CallError, Caller, Credentials, Refused, Wire,
    iam::{Policy, Request, Verdict, evaluate},
    xml_text,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use crate::{emulator::root_credentials, held::Holding, names::Place};

const IAM: &str = "2010-05-08";
const STS: &str = "2011-06-15";
/// How long an assumed session lives: 12 h, the most that STS gives. Nothing renews it.
const LIFETIME_S: &str = "43200";

/// The cloud's IAM.
#[derive(Debug)]
pub struct Identity {
    wire: Wire,
    place: Place,
    /// By access key id.
    sessions: Mutex<HashMap<String, Session>>,
    /// By role.
    policies: Mutex<HashMap<String, Arc<Vec<Policy>>>>,
    /// By a role's ARN: one session for all that a service does with it.
    roles: Mutex<HashMap<String, Wire>>,
    holding: Holding,
}

#[derive(Debug, Clone)]
struct Session {
    credentials: Credentials,
    role: String,
    /// `arn:aws:sts::{account}:assumed-role/{role}/{session}`, once the emulator confirmed it.
    arn: Option<String>,
}

impl Identity {
    /// Knows the sessions of `functions` (names as deployed; each has a role of the same name).
    pub(crate) fn new(wire: Wire, place: Place, functions: &[String], holding: Holding) -> Self {
        let mut sessions = HashMap::new();
        for function in functions {
            let credentials = function_session(&place, function);
            let session = Session {
                role: function.clone(),
                credentials: credentials.clone(),
                arn: None,
            };
            sessions.insert(credentials.access_key_id, session);
        }
        Self {
            wire,
            place,
            sessions: Mutex::new(sessions),
            policies: Mutex::default(),
            roles: Mutex::default(),
            holding,
        }
    }

    /// A session of a role, whoever its trust policy lets in otherwise: for tests that act as one.
    pub async fn assume_role(&self, role: &str) -> anyhow::Result<Credentials> {
        let arn = self.place.role_arn(role);
        let params = [
            ("RoleArn", arn.as_str()),
            ("RoleSessionName", "local"),
            ("DurationSeconds", LIFETIME_S),
        ];
        let answer = self.wire.query("sts", STS, "AssumeRole", &params).await?;
        let field = |name: &str| {
            xml_text(&answer, name).with_context(|| format!("AssumeRole answers no {name}"))
        };
        let credentials = Credentials {
            access_key_id: field("AccessKeyId")?,
            secret_access_key: field("SecretAccessKey")?,
            session_token: Some(field("SessionToken")?),
        };
        let session = Session {
            credentials: credentials.clone(),
            role: role.to_owned(),
            arn: None,
        };
        let key = credentials.access_key_id.clone();
        self.sessions.lock().await.insert(key, session);
        Ok(credentials)
    }

    /// The emulator, called with a role that a service was passed.
    pub async fn wire_as(&self, role_arn: &str) -> anyhow::Result<Wire> {
        let mut roles = self.roles.lock().await;
        if let Some(wire) = roles.get(role_arn) {
            return Ok(wire.clone());
        }
        let (_, role) = role_arn
            .rsplit_once('/')
            .with_context(|| format!("`{role_arn}` is no role"))?;
        let wire = self.wire.with_credentials(self.assume_role(role).await?);
        roles.insert(role_arn.to_owned(), wire.clone());
        Ok(wire)
    }

    async fn decide(
        &self,
        caller: &Caller,
        action: &str,
        resource: &str,
        conditions: &[(&str, &str)],
    ) -> Result<(), Refused> {
        if caller.access_key_id == root_credentials().access_key_id {
            return Ok(());
        }
        let session = self.session(caller).await?;
        let arn = session.arn.unwrap_or_default();
        let mut context = self.context(&arn, action);
        let own = conditions.iter().copied();
        context.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let request = Request {
            action,
            resource,
            context: &context,
        };
        loop {
            let policies = self
                .policies(&session.role)
                .await
                .map_err(|error| Refused(format!("the policies of {}: {error}", session.role)))?;
            let because = match evaluate(policies.as_slice(), &request) {
                Verdict::Allowed => return Ok(()),
                Verdict::Denied => "with an explicit deny in an identity-based policy".to_owned(),
                Verdict::NotAllowed => {
                    format!("because no identity-based policy allows the {action} action")
                }
            };
            let held = self
                .holding
                .is_tried_again(&session.role, action, Some(resource));
            if !held.await {
                return Err(Refused(format!(
                    "User: {arn} is not authorized to perform: {action} on resource: {resource} {because}"
                )));
            }
        }
    }

    /// The role of a caller that is known here.
    pub(crate) async fn role_of(&self, caller: &Caller) -> Option<String> {
        let sessions = self.sessions.lock().await;
        let session = sessions.get(&caller.access_key_id)?;
        Some(session.role.clone())
    }

    /// The caller's session, confirmed by the emulator when it is first seen.
    async fn session(&self, caller: &Caller) -> Result<Session, Refused> {
        let unknown =
            || Refused("The security token included in the request is invalid.".to_owned());
        let mut sessions = self.sessions.lock().await;
        let session = sessions
            .get_mut(&caller.access_key_id)
            .ok_or_else(unknown)?;
        if session.credentials.session_token != caller.session_token {
            return Err(unknown());
        }
        if session.arn.is_none() {
            let as_session = self.wire.with_credentials(session.credentials.clone());
            let answer = as_session
                .query("sts", STS, "GetCallerIdentity", &[])
                .await
                .map_err(|error| Refused(error.to_string()))?;
            session.arn = xml_text(&answer, "Arn");
        }
        Ok(session.clone())
    }

    /// Reads a role's policies again: they were changed.
    pub async fn forget(&self, role: &str) {
        self.policies.lock().await.remove(role);
    }

    /// A role's inline policies, read once.
    async fn policies(&self, role: &str) -> anyhow::Result<Arc<Vec<Policy>>> {
        let mut known = self.policies.lock().await;
        if let Some(policies) = known.get(role) {
            return Ok(Arc::clone(policies));
        }
        let policies = Arc::new(read_policies(&self.wire, role).await?);
        known.insert(role.to_owned(), Arc::clone(&policies));
        Ok(policies)
    }

    /// The condition keys that are known here. A policy that asks for another doesn't match.
    fn context(&self, caller: &str, action: &str) -> BTreeMap<String, String> {
        let mut context = BTreeMap::from([
            ("aws:principalarn".to_owned(), caller.to_owned()),
            (
                "aws:principalaccount".to_owned(),
                self.place.account.clone(),
            ),
            ("aws:resourceaccount".to_owned(), self.place.account.clone()),
            ("aws:requestedregion".to_owned(), self.place.region.clone()),
        ]);
        if action == "iam:PassRole" {
            // Of the services that ask here only SageMaker is passed roles.
            let service = "sagemaker.amazonaws.com".to_owned();
            context.insert("iam:passedtoservice".to_owned(), service);
        }
        context
    }
}

impl Authorize for Identity {
    fn check<'a>(
        &'a self,
        caller: &'a Caller,
        action: &'a str,
        resource: &'a str,
    ) -> BoxFuture<'a, Result<(), Refused>> {
        Box::pin(self.decide(caller, action, resource, &[]))
    }

    fn check_with<'a>(
        &'a self,
        caller: &'a Caller,
        action: &'a str,
        resource: &'a str,
        conditions: &'a [(&'a str, &'a str)],
    ) -> BoxFuture<'a, Result<(), Refused>> {
        Box::pin(self.decide(caller, action, resource, conditions))
    }
}

/// The keys that the emulator gives a function: it derives them from the function and its role, and
/// no call tells whose a key is. That they are right is seen by asking it who they are.
fn function_session(place: &Place, function: &str) -> Credentials {
    let digest = |text: String| hex::encode(Sha256::digest(text));
    let function_arn = place.arn("lambda", &format!("function:{function}"));
    let both = digest(format!("{function_arn}:{}", place.role_arn(function)));
    Credentials {
        access_key_id: format!("ASIA{}", both[..16].to_uppercase()),
        secret_access_key: digest(format!("secret:{both}")),
        session_token: Some(digest(format!("token:{both}"))),
    }
}

async fn read_policies(wire: &Wire, role: &str) -> anyhow::Result<Vec<Policy>> {
    let names = wire
        .query("iam", IAM, "ListRolePolicies", &[("RoleName", role)])
        .await?;
    let names = local_wire::xml_texts(&names, "member");
    let mut policies = Vec::new();
    for name in names {
        let params = [("RoleName", role), ("PolicyName", name.as_str())];
        let answer: Result<_, CallError> = wire.query("iam", IAM, "GetRolePolicy", &params).await;
        let document = xml_text(&answer?, "PolicyDocument").context("no PolicyDocument")?;
        // IAM gives documents percent-encoded.
        let document = percent_encoding::percent_decode_str(&document).decode_utf8()?;
        let document: Value = serde_json::from_str(&document)?;
        policies.push(Policy::parse(&document).with_context(|| format!("policy {name}"))?);
    }
    Ok(policies)
}

#[cfg(test)]
mod tests {
    use super::function_session;
    use crate::names::Place;

    #[test]
    fn a_functions_keys_are_the_emulators() {
        let place = Place {
            environment: "dev".to_owned(),
            region: "ap-southeast-1".to_owned(),
            account: "000000000000".to_owned(),
        };
        let credentials = function_session(&place, "f");
        assert_eq!(credentials.access_key_id.len(), 20);
        assert_eq!(credentials.secret_access_key.len(), 64);
        assert_ne!(
            credentials.access_key_id,
            function_session(&place, "g").access_key_id
        );
    }
}
