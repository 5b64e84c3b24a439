//! Watches: a stream of changes, one JSON object a line.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::Response,
};
use serde_json::{Value, json};
use tokio::{sync::watch::Receiver, time::Instant};

use super::{Api, Call, Target, table::Tables};
use crate::{
    catalog::Resource,
    error::Status,
    registry::Registry,
    selector::Selector,
    store::{Change, ChangeKind},
};

/// How long a watch lasts when the client names no time, and at most.
const LONGEST: Duration = Duration::from_hours(1);
/// How often a client that wants bookmarks gets one.
const BOOKMARK: Duration = Duration::from_mins(1);

/// One client's view of the changes.
struct Watch {
    registry: Arc<Registry>,
    resource: &'static Resource,
    scope: Option<String>,
    selector: Selector,
    /// Changes up to this version have been told.
    version: u64,
    /// How tables are wanted, if they are; their columns are told once.
    tables: Option<Tables>,
    columns: bool,
    bookmarks: bool,
    changes: Receiver<u64>,
    pending: VecDeque<Value>,
    end: Instant,
}

/// Starts a watch at the asked version, or at the present state when none is asked.
pub(super) fn start(api: &Api, call: &Call, target: &Target) -> Result<Response, Status> {
    let selector = target.selector(call)?;
    let (objects, version) = api.registry.store.list(target.resource, target.scope());
    let asked = call.query("resourceVersion");
    let initial = call.is_set("sendInitialEvents");
    let from_state = matches!(asked, "" | "0") || initial;
    let version = if from_state {
        version
    } else {
        asked
            .parse()
            .map_err(|_| Status::bad_request(format!("invalid resource version {asked:?}")))?
    };
    let seconds = call
        .query("timeoutSeconds")
        .parse()
        .map(Duration::from_secs);
    let mut watch = Watch {
        changes: api.registry.store.subscribe(),
        registry: Arc::clone(&api.registry),
        resource: target.resource,
        scope: target.scope().map(str::to_owned),
        selector,
        version,
        tables: Tables::asked(call),
        columns: true,
        bookmarks: call.is_set("allowWatchBookmarks"),
        pending: VecDeque::new(),
        end: Instant::now() + seconds.unwrap_or(LONGEST).min(LONGEST),
    };
    if from_state {
        for object in objects {
            if watch.selector.matches(&object) {
                watch.tell("ADDED", &object);
            }
        }
    }
    if initial {
        let mut bookmark = watch.bookmark();
        bookmark["object"]["metadata"]["annotations"] =
            json!({"k8s.io/initial-events-end": "true"});
        watch.pending.push_back(bookmark);
    }
    let lines = futures::stream::unfold(watch, |mut watch| async {
        let event = watch.next().await?;
        let line = Bytes::from(format!("{event}\n"));
        Some((Ok::<_, Infallible>(line), watch))
    });
    let mut response = Response::new(Body::from_stream(lines));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

impl Watch {
    /// The next event; `None` when the watch is over.
    async fn next(&mut self) -> Option<Value> {
        let next_bookmark = Instant::now() + BOOKMARK;
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            if Instant::now() >= self.end {
                return None;
            }
            // Marked before reading, so that a change during the reading is seen next time.
            self.changes.mark_unchanged();
            let scope = self.scope.as_deref();
            let changes = self
                .registry
                .store
                .changes_after(self.version, self.resource, scope);
            match changes {
                Ok((changes, version)) => {
                    self.version = version.max(self.version);
                    for change in &changes {
                        self.note(change);
                    }
                }
                Err(expired) => {
                    self.end = Instant::now();
                    return Some(json!({"type": "ERROR", "object": expired.body()}));
                }
            }
            if !self.pending.is_empty() {
                continue;
            }
            tokio::select! {
                changed = self.changes.changed() => changed.ok()?,
                () = tokio::time::sleep_until(self.end) => return None,
                () = tokio::time::sleep_until(next_bookmark), if self.bookmarks => {
                    return Some(self.bookmark());
                }
            }
        }
    }

    /// Queues what a change means to this client: an object that stops to match is deleted for it.
    fn note(&mut self, change: &Change) {
        let before = change.previous.as_ref();
        let before = before.is_some_and(|object| self.selector.matches(object));
        let after = change.kind != ChangeKind::Deleted && self.selector.matches(&change.object);
        let event = match (before, after) {
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
            (false, false) => return,
        };
        self.tell(event, &change.object);
    }

    fn tell(&mut self, event: &str, object: &Value) {
        let object = match &self.tables {
            Some(tables) => {
                let version = &object["metadata"]["resourceVersion"];
                let mut table = tables.of(self.resource, [object], version);
                if !std::mem::take(&mut self.columns) {
                    table["columnDefinitions"] = Value::Null;
                }
                table
            }
            None => object.clone(),
        };
        self.pending
            .push_back(json!({"type": event, "object": object}));
    }

    fn bookmark(&self) -> Value {
        json!({
            "type": "BOOKMARK",
            "object": {
                "kind": self.resource.kind,
                "apiVersion": self.resource.api_version(),
                "metadata": {"resourceVersion": self.version.to_string()},
            },
        })
    }
}
