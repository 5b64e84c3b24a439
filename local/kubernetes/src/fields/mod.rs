//! Who owns which field: field sets, `metadata.managedFields`, server-side apply.

mod apply;
mod diff;
mod managed;
mod schema;
mod set;

pub(crate) use apply::apply;
pub(crate) use managed::{Manager, record_update};
pub(crate) use schema::{ListKind, list_kind};
