use std::fmt;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Unguessable strings and numbers for tags, branches, Call-IDs, channel ids, SSRCs.
///
/// Draws no randomness itself: the shell seeds it once from the system, a test seeds it with zeros
/// and gets the same run again.
pub struct Tokens(ChaCha12Rng);

impl Tokens {
    /// A generator whose whole output follows from `seed`.
    pub fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// 16 lower-case hexadecimal digits: 64 bits.
    pub fn next_hex(&mut self) -> String {
        format!("{:016x}", self.next_u64())
    }

    /// A new seed, for a part that draws its own tokens.
    pub fn next_seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        seed
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_tokens_and_no_token_comes_twice() {
        let (mut one, mut two) = (Tokens::new([7; 32]), Tokens::new([7; 32]));
        let first = one.next_hex();
        assert_eq!(first, two.next_hex());
        assert_ne!(first, one.next_hex());
        assert_eq!(first.len(), 16);
    }
}
