//! Where the log goes, and how much of it.

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::config::{LogFormat, LogLevel, Plan};

/// By which the level is changed while the server runs.
static LEVEL: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Logs go to stderr, at the level of `log.level` unless `RUST_LOG` says otherwise.
pub fn log_to_stderr(plan: &Plan) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| filter(plan.log.level));
    let (filter, handle) = reload::Layer::new(filter);
    let log = fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    // A second subscriber in one process is a test's; the first one stays.
    let began = match plan.log.format {
        LogFormat::Text => tracing_subscriber::registry().with(filter).with(log).try_init(),
        LogFormat::Json => tracing_subscriber::registry().with(filter).with(log.json()).try_init(),
    };
    if began.is_ok() {
        let _ = LEVEL.set(handle);
    }
}

/// Logs at this level from now on, unless `RUST_LOG` says otherwise.
pub fn set_level(level: LogLevel) {
    if std::env::var_os(EnvFilter::DEFAULT_ENV).is_none()
        && let Some(handle) = LEVEL.get()
        && let Err(error) = handle.reload(filter(level))
    {
        tracing::error!(%error, "the log's level stays as it is");
    }
}

fn filter(level: LogLevel) -> EnvFilter {
    let level = match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // What the decoders' library finds wrong is told by whoever decodes, with the source's name.
    EnvFilter::new(format!("{level},symphonia=off"))
}
