//! The server that is tested.

use std::net::SocketAddr;
use std::time::Duration;

use entracte::config::{Layers, Plan};
use entracte::serve::{self, Running};
use entracte::wiring::Standing;
use sip::agent::Transport;
use tokio::runtime::Runtime;

/// A running server; its end ends it.
pub(crate) struct Subject {
    pub(crate) udp: SocketAddr,
    pub(crate) tcp: SocketAddr,
    own: Option<(Runtime, Option<Running>)>,
    /// Where it keeps its state; gone when it is.
    _state: Option<conformance::Folder>,
}

impl Subject {
    /// Any server will do.
    pub(crate) fn any() -> Self {
        match std::env::var("ENTRACTE_SUBJECT") {
            Ok(place) => {
                let (host, rest) = place.split_once(':').expect("ENTRACTE_SUBJECT has a port");
                let port = rest.split(':').next().unwrap_or_default();
                let address = format!("{host}:{port}").parse().expect("an IPv4 address");
                Self { udp: address, tcp: address, own: None, _state: None }
            }
            Err(_) => Self::with(&[]),
        }
    }

    /// A server of ours, without speech.
    pub(crate) fn with(settings: &[&str]) -> Self {
        let mut all = vec!["text_to_speech.enabled=false"];
        all.extend_from_slice(settings);
        Self::speaking(&all)
    }

    /// A server of ours that speaks, on ports that are free.
    pub(crate) fn speaking(settings: &[&str]) -> Self {
        let ground = [
            "general.listen_interface=127.0.0.1",
            "audio.rtp.interface=127.0.0.1",
            "general.sip.port=0",
            "general.mrcp.port=0",
            "http.port=0",
            "general.mrcp.max_sessions=200",
            // Below those that servers on the same machine use by default.
            "audio.rtp.port_ranges=['10000-16383']",
            "engine.threads=1",
            // A busy machine may be late, but it shall not refuse.
            "engine.refuse_above_percent=100",
        ];
        let state = conformance::Folder::create();
        let kept = format!("state_dir={}", state.path().display());
        let ground = ground.into_iter().chain([kept.as_str()]);
        let settings = ground.chain(settings.iter().copied()).map(str::to_owned).collect();
        let plan = Plan::load(&Layers { settings, ..Layers::default() });
        let plan = plan.unwrap_or_else(|faults| panic!("{faults}"));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let running =
            runtime.block_on(serve::start(&plan)).unwrap_or_else(|error| panic!("{error}"));
        let of = |wanted| running.sip.iter().find(|(transport, _)| *transport == wanted).unwrap().1;
        let (udp, tcp) = (of(Transport::Udp), of(Transport::Tcp));
        Self { udp, tcp, own: Some((runtime, Some(running))), _state: Some(state) }
    }

    /// How things stand in a server of ours.
    pub(crate) fn standing(&self) -> Option<Standing> {
        let (runtime, running) = self.own.as_ref()?;
        runtime.block_on(running.as_ref()?.standing())
    }

    /// Waits until no call is left.
    #[track_caller]
    pub(crate) fn settles(&self) {
        for _ in 0..100 {
            let Some(standing) = self.standing() else { return };
            if (standing.control.sessions, standing.streams, standing.programs) == (0, 0, 0) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("calls are left: {:?}", self.standing());
    }

    /// A server of ours, from within.
    pub(crate) fn running(&self) -> &Running {
        self.own.as_ref().and_then(|(_, running)| running.as_ref()).expect("it is ours")
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        if let Some((runtime, running)) = self.own.take() {
            if let Some(running) = running {
                runtime.block_on(running.end(Duration::ZERO));
            }
            runtime.shutdown_background();
        }
    }
}
