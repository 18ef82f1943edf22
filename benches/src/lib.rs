//! linklock beside its peers: what both benchmarks share.
//!
//! - `cargo bench -p linklock-bench --bench uncontended`: criterion, for all Rust locks without
//!   contention.
//! - `cargo bench -p linklock-bench --bench tables`: everything, in processes that take turns or
//!   contend, as tables of ratios and plots; `-- --quick` takes a minute.

pub mod bare;
pub mod figures;
pub mod ways;
