use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// A stream's figures; up to 16 packets old while it lives.
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
        pub struct StreamStats {
            $($(#[$doc])* pub $name: u64,)*
            /// Packets of the peer that never came; negative with duplicates.
            pub lost: i64,
            /// Packets of ours that the peer missed, as its reports say.
            pub peer_lost: i64,
        }

        /// [`StreamStats`] as the engine shows them to others.
        #[derive(Debug, Default)]
        pub(crate) struct StatsCell {
            $($name: AtomicU64,)*
            lost: AtomicI64,
            peer_lost: AtomicI64,
        }

        impl StatsCell {
            pub(crate) fn publish(&self, stats: &StreamStats) {
                $(self.$name.store(stats.$name, Relaxed);)*
                self.lost.store(stats.lost, Relaxed);
                self.peer_lost.store(stats.peer_lost, Relaxed);
            }

            pub(crate) fn read(&self) -> StreamStats {
                StreamStats {
                    $($name: self.$name.load(Relaxed),)*
                    lost: self.lost.load(Relaxed),
                    peer_lost: self.peer_lost.load(Relaxed),
                }
            }
        }
    };
}

stats! {
    /// RTP packets that left.
    packets,
    /// Their payload bytes.
    octets,
    /// Sends that told of an earlier packet which found nobody listening.
    refused,
    /// Sends that failed otherwise.
    failed,
    /// Packets left out because the engine came more than a period late.
    skipped,
    /// Packets, or parts of one, that were silent because a program's pieces came too late.
    starved,
    /// Units of live sources that were not there in time.
    missing_units,
    /// Packets that were silent because reports were not taken off the engine.
    held,
    /// RTP packets that came in.
    received,
    /// Their interarrival jitter in timestamp units.
    jitter,
    /// Keys that were pressed.
    digits,
    /// RTCP packets that left.
    reports_sent,
    /// RTCP packets that came in.
    reports_received,
    /// Loss since its last report as the peer sees it, in 256ths.
    peer_fraction_lost,
    /// Jitter as the peer sees it, in timestamp units.
    peer_jitter,
    /// The round-trip time in microseconds; 0 while unknown.
    round_trip_us,
}
