/// How much sound one packet carries: 10, 20, 30, 40, 50 or 60 ms.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Ptime(u8);

impl Ptime {
    /// 20 ms, the packet time of RFC 3551 §4.2 for G.711.
    pub const DEFAULT: Self = Self(20);

    /// Every packet time we honour, shortest first.
    pub const ALL: [Self; 6] = [Self(10), Self(20), Self(30), Self(40), Self(50), Self(60)];

    /// The packet time of exactly `ms`; `None` for one that we cannot keep.
    pub fn exact(ms: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|ptime| ptime.ms() == ms)
    }

    /// The nearest packet time that is no longer than `ms` wants; 10 ms when it wants less.
    pub fn nearest(ms: u32) -> Self {
        Self::ALL.into_iter().rev().find(|ptime| ptime.ms() <= ms).unwrap_or(Self(10))
    }

    /// Milliseconds.
    pub const fn ms(self) -> u32 {
        self.0 as u32
    }

    /// Samples, and with G.711 also bytes, in one packet.
    pub const fn samples(self) -> usize {
        self.0 as usize * 8
    }

    /// The place of this packet time in [`Ptime::ALL`].
    pub const fn index(self) -> usize {
        self.0 as usize / 10 - 1
    }
}

impl Default for Ptime {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_packet_times_become_the_next_shorter_one_we_keep() {
        let rows = [(0, 10), (5, 10), (10, 10), (19, 10), (20, 20), (25, 20), (60, 60), (200, 60)];
        for (asked, kept) in rows {
            assert_eq!(Ptime::nearest(asked).ms(), kept, "asked {asked}");
        }
        assert_eq!(Ptime::exact(30).map(Ptime::samples), Some(240));
        assert_eq!(Ptime::exact(25), None);
        for (place, ptime) in Ptime::ALL.into_iter().enumerate() {
            assert_eq!(ptime.index(), place);
        }
    }
}
