//! The pipeline in memory: the functions behind their own patterns, on a world that can be crashed.

mod compare;
mod pipeline;
mod routes;
pub mod scene;

pub use compare::normal;
pub use pipeline::Pipeline;
pub use routes::Routes;
