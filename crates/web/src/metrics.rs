//! The metrics, made anew for each reading from what is known at that moment: nothing is counted twice
//! and nothing stays behind of a source that is gone.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge, with_local_recorder};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::view::{Heard, Source, SourceState, Standing};

/// All metrics as Prometheus reads them.
pub(crate) fn exposition(sources: &[Source], late: u64, standing: Standing) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    with_local_recorder(&recorder, || {
        describe();
        sources.iter().for_each(of_source);
        counter!("entracte_sources_late_total").absolute(late);
        of_standing(standing);
    });
    recorder.handle().render()
}

fn describe() {
    describe_gauge!(
        "entracte_source_heard",
        "1 while the source itself is heard, 0 for the fallback"
    );
    describe_gauge!("entracte_source_playing", "1 while audio comes from the source");
    describe_gauge!("entracte_source_silent", "1 while the source plays silence for too long");
    describe_gauge!("entracte_source_listeners", "Calls that hear the source");
    describe_gauge!("entracte_source_peak_dbfs", "The largest sample of the last 300 ms");
    describe_gauge!("entracte_source_rms_dbfs", "The root mean square of the last 300 ms");
    describe_gauge!(
        "entracte_source_buffered_seconds",
        Unit::Seconds,
        "Audio that is decoded and waits to be heard"
    );
    describe_counter!("entracte_source_reconnects_total", "Connections made after the first");
    describe_counter!(
        "entracte_source_underruns_total",
        "Times the buffer ran dry although the connection stood"
    );
    describe_counter!(
        "entracte_sources_late_total",
        "Times the sources' clock was so late that listeners missed some of them"
    );
    describe_gauge!("entracte_sessions", "Calls");
    describe_gauge!("entracte_channels", "MRCPv2 channels");
    describe_gauge!("entracte_streams", "Media streams");
    describe_gauge!("entracte_utterances", "Utterances that are prepared or played");
    describe_gauge!("entracte_connections", "TCP connections");
    describe_gauge!("entracte_sip_transactions", "SIP transactions, of both sides");
}

fn of_source(source: &Source) {
    let label = || [("source", source.name.clone())];
    let is = |yes: bool| f64::from(u8::from(yes));
    gauge!("entracte_source_heard", &label()).set(is(source.heard == Heard::Source));
    gauge!("entracte_source_playing", &label()).set(is(source.state == SourceState::Playing));
    gauge!("entracte_source_silent", &label()).set(is(source.silent));
    gauge!("entracte_source_listeners", &label()).set(count(source.listeners));
    gauge!("entracte_source_peak_dbfs", &label()).set(source.peak_dbfs);
    gauge!("entracte_source_rms_dbfs", &label()).set(source.rms_dbfs);
    let buffered = u32::try_from(source.buffered_ms).unwrap_or(u32::MAX);
    gauge!("entracte_source_buffered_seconds", &label()).set(f64::from(buffered) / 1_000.0);
    counter!("entracte_source_reconnects_total", &label()).absolute(source.reconnects);
    counter!("entracte_source_underruns_total", &label()).absolute(source.underruns);
}

fn of_standing(standing: Standing) {
    gauge!("entracte_sessions").set(count(standing.sessions));
    gauge!("entracte_channels").set(count(standing.channels));
    gauge!("entracte_streams").set(count(standing.streams));
    gauge!("entracte_utterances").set(count(standing.utterances));
    gauge!("entracte_connections").set(count(standing.connections));
    gauge!("entracte_sip_transactions").set(count(standing.transactions));
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
