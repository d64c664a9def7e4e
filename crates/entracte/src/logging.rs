//! Where the log goes, and how much of it.

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::config::{Log, LogFormat, LogLevel, Plan};

/// By which the level is changed while the server runs.
static LEVEL: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Logs go to stderr, at the level of `log.level` unless `RUST_LOG` says otherwise.
pub fn log_to_stderr(plan: &Plan) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| filter(&plan.log));
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

/// Logs at these levels from now on, unless `RUST_LOG` says otherwise.
pub fn set_level(log: &Log) {
    if std::env::var_os(EnvFilter::DEFAULT_ENV).is_none()
        && let Some(handle) = LEVEL.get()
        && let Err(error) = handle.reload(filter(log))
    {
        tracing::error!(%error, "the log's level stays as it is");
    }
}

fn filter(log: &Log) -> EnvFilter {
    let level = match log.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // What the decoders' library finds wrong is told by whoever decodes, with the source's name.
    let areas: String = log.areas.iter().map(|area| format!(",{area}")).collect();
    EnvFilter::new(format!("{level},symphonia=off{areas}"))
}
