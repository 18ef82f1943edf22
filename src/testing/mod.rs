//! Tests of the real protocol: a simulator of many machines and a file server, a file system that
//! fails at every call with every errno, and wake-up hints through the loopback interface.

mod faulty;
mod hints;
mod sim;

/// Whether everything is to be tried, as in CI, where that takes minutes: `LINKLOCK_EXHAUSTIVE`.
fn is_exhaustive() -> bool {
    std::env::var_os("LINKLOCK_EXHAUSTIVE").is_some()
}
