//! The pipeline in memory: the functions behind their own patterns, on a world that can be crashed.

mod pipeline;
mod routes;

pub use pipeline::Pipeline;
pub use routes::Routes;
