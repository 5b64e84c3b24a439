//! The API server that functions are told of: it knows who calls, and the real one does the rest.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::Response,
};

use super::Client;
use crate::{
    api,
    auth::{Authenticator, Identity},
    error::Status,
};

/// Everything a request is passed on with.
pub(crate) struct Bridge {
    pub(crate) authenticator: Authenticator,
    pub(crate) client: Arc<Client>,
}

/// Passes one request on in the name of its caller; 401 when there is no identity behind it.
pub(crate) async fn handle(State(bridge): State<Arc<Bridge>>, mut request: Request) -> Response {
    let authorization = request.headers().get(header::AUTHORIZATION);
    let authorization = authorization.and_then(|value| value.to_str().ok());
    let identity = bridge
        .authenticator
        .identify(authorization.unwrap_or_default());
    let Some(identity) = identity.await else {
        return api::refuse(&Status::unauthorized());
    };
    if let Err(error) = impersonate(request.headers_mut(), &identity) {
        tracing::warn!(%error, user = identity.user, "can't be impersonated");
        return api::refuse(&Status::unauthorized());
    }
    match bridge.client.send(request).await {
        Ok(mut answer) => {
            answer.headers_mut().remove(header::CONNECTION);
            answer.map(Body::new)
        }
        Err(failed) => {
            tracing::warn!(%failed, "the real cluster");
            api::refuse(&Status::internal(format!("the real cluster: {failed}")))
        }
    }
}

/// Puts `identity` into the headers, and takes out whatever else could say who calls.
fn impersonate(
    headers: &mut HeaderMap,
    identity: &Identity,
) -> Result<(), header::InvalidHeaderValue> {
    let says_who = |name: &HeaderName| {
        let name = name.as_str();
        name.starts_with("impersonate-") || name.starts_with("x-remote-")
    };
    let theirs: Vec<_> = headers
        .keys()
        .filter(|name| says_who(name))
        .cloned()
        .collect();
    for name in theirs.into_iter().chain([
        header::AUTHORIZATION,
        header::COOKIE,
        // About the connection, not the request.
        header::CONNECTION,
        header::HOST,
    ]) {
        headers.remove(name);
    }
    let user = HeaderName::from_static("impersonate-user");
    headers.insert(user, HeaderValue::try_from(&identity.user)?);
    for group in &identity.groups {
        let name = HeaderName::from_static("impersonate-group");
        headers.append(name, HeaderValue::try_from(group)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_says_for_himself_who_he_is() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer of-somebody"),
            ("impersonate-user", "kubernetes-admin"),
            ("impersonate-group", "system:masters"),
            ("impersonate-extra-scopes", "all"),
            ("x-remote-group", "system:masters"),
            ("accept", "application/json"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let identity = Identity {
            user: "arn:aws:sts::000000000000:assumed-role/deploy/s1".to_owned(),
            groups: vec!["deployers".to_owned(), "system:authenticated".to_owned()],
        };
        impersonate(&mut headers, &identity).unwrap();
        assert_eq!(headers["impersonate-user"], identity.user);
        let groups: Vec<_> = headers.get_all("impersonate-group").iter().collect();
        assert_eq!(groups, ["deployers", "system:authenticated"]);
        assert_eq!(headers["accept"], "application/json");
        assert_eq!(headers.len(), 4, "{headers:?}");
    }
}
