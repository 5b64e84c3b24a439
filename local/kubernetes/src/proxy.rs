//! Services: one listener each, requests spread over the ready pods.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, Uri, header, uri::PathAndQuery},
    response::{IntoResponse, Response},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use crate::{
    catalog::{PODS, SERVICES},
    json::{items, strings},
    pods,
    registry::Registry,
    store::Key,
};

/// Ports of the services that listen, by namespace and name.
pub(crate) type Ports = BTreeMap<(String, String), u16>;

/// Opens and closes the listeners.
pub(crate) struct Proxy {
    pub(crate) registry: Arc<Registry>,
    /// Ports that services are to have, by `namespace/name`; others get a free one.
    pub(crate) wanted: BTreeMap<String, u16>,
    pub(crate) ports: watch::Sender<Ports>,
}

/// One service.
struct Balancer {
    registry: Arc<Registry>,
    key: Key,
    client: Client<HttpConnector, Body>,
    next: AtomicUsize,
}

impl Proxy {
    /// Keeps a listener for each service until the task is aborted.
    pub(crate) async fn run(self) {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let mut changes = self.registry.store.subscribe();
        let mut tasks = JoinSet::new();
        let mut listening = BTreeMap::new();
        loop {
            changes.mark_unchanged();
            let services = self.registry.store.list(&SERVICES, None).0;
            let keys: Vec<Key> = services
                .iter()
                .filter(|service| strings(service, "/spec/selector").next().is_some())
                .map(|service| Key::of(&SERVICES, service))
                .collect();
            listening.retain(|key: &Key, task: &mut tokio::task::AbortHandle| {
                let kept = keys.contains(key);
                if !kept {
                    task.abort();
                    self.ports.send_modify(|ports| {
                        ports.remove(&(key.namespace.clone(), key.name.clone()));
                    });
                }
                kept
            });
            for key in keys {
                if listening.contains_key(&key) {
                    continue;
                }
                match self.listen(&key).await {
                    Ok(listener) => {
                        let balancer = Arc::new(Balancer {
                            registry: Arc::clone(&self.registry),
                            key: key.clone(),
                            client: client.clone(),
                            next: AtomicUsize::new(0),
                        });
                        let router = Router::new().fallback(forward).with_state(balancer);
                        let serve = axum::serve(listener, router);
                        listening.insert(key, tasks.spawn(serve.into_future()));
                    }
                    Err(error) => {
                        tracing::error!(service = key.name, %error, "service doesn't listen");
                    }
                }
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    async fn listen(&self, key: &Key) -> std::io::Result<TcpListener> {
        let name = format!("{}/{}", key.namespace, key.name);
        let wanted = self.wanted.get(&name).copied().unwrap_or_default();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).await?;
        let port = listener.local_addr()?.port();
        tracing::info!(service = name, port, "service listens");
        self.ports.send_modify(|ports| {
            ports.insert((key.namespace.clone(), key.name.clone()), port);
        });
        Ok(listener)
    }
}

impl Balancer {
    /// Local ports of the ready pods behind the service.
    fn endpoints(&self) -> Vec<u16> {
        let store = &self.registry.store;
        let Some(service) = store.get(&self.key) else {
            return Vec::new();
        };
        let target = items(&service, "/spec/ports")
            .first()
            .map_or(&Value::Null, |port| &port["targetPort"]);
        let selected = |pod: &Value| {
            strings(&service, "/spec/selector")
                .all(|(label, value)| pod["metadata"]["labels"][label] == value)
        };
        let pods = store.list(&PODS, Some(&self.key.namespace)).0;
        pods.iter()
            .filter(|pod| selected(pod) && pods::is_ready(pod) && !pods::is_terminating(pod))
            .filter_map(|pod| pods::local_port(pod, target))
            .collect()
    }
}

/// Sends one request on to the next ready pod: 503 when there is none, 502 when it doesn't answer,
/// as a load balancer does.
async fn forward(State(balancer): State<Arc<Balancer>>, mut request: Request) -> Response {
    let endpoints = balancer.endpoints();
    let turn = balancer.next.fetch_add(1, Ordering::Relaxed);
    let Some(port) = endpoints.get(turn % endpoints.len().max(1)) else {
        return (StatusCode::SERVICE_UNAVAILABLE, "no pod is ready\n").into_response();
    };
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", PathAndQuery::as_str);
    let Ok(uri) = format!("http://127.0.0.1:{port}{path}").parse::<Uri>() else {
        return (StatusCode::BAD_REQUEST, "unreadable path\n").into_response();
    };
    *request.uri_mut() = uri;
    // About the connection, not the request.
    request.headers_mut().remove(header::CONNECTION);
    match balancer.client.request(request).await {
        Ok(mut response) => {
            response.headers_mut().remove(header::CONNECTION);
            response.map(Body::new)
        }
        Err(error) => {
            tracing::warn!(service = balancer.key.name, port, %error, "pod didn't answer");
            (StatusCode::BAD_GATEWAY, "the pod didn't answer\n").into_response()
        }
    }
}
