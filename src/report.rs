//! Reports of what nobody can be told by a return value: the feature `tracing`, or silence.

/// Reports an error that is met in a destructor or a background thread.
macro_rules! report {
    ($error:expr, $message:literal) => {{
        #[cfg(feature = "tracing")]
        tracing::error!(error = %$error, $message);
        #[cfg(not(feature = "tracing"))]
        let _ = &$error;
    }};
}

pub(crate) use report;
