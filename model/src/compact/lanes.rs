//! Four sums of products at once: by the vectors of WebAssembly, or by those of the machine. Sums of integers come to the
//! same, whoever adds them up.

pub(crate) use vectors::{Pair, Sums, Weights};

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod vectors {
    use core::arch::wasm32::{
        i16x8, i16x8_extend_low_i8x16, i32x4, i32x4_add, i32x4_dot_i16x8, i32x4_extract_lane, i32x4_splat,
        u64x2, v128,
    };

    /// Two numbers of sixteen bits, four times.
    #[derive(Clone, Copy)]
    pub(crate) struct Pair(v128);

    /// Four pairs of weights.
    #[derive(Clone, Copy)]
    pub(crate) struct Weights(v128);

    #[derive(Clone, Copy)]
    pub(crate) struct Sums(v128);

    impl Pair {
        #[inline(always)]
        pub(crate) fn all(packed: i32) -> Self {
            Self(i32x4_splat(packed))
        }
    }

    impl From<[u8; 8]> for Weights {
        #[inline(always)]
        fn from(bytes: [u8; 8]) -> Self {
            Self(i16x8_extend_low_i8x16(u64x2(u64::from_le_bytes(bytes), 0)))
        }
    }

    impl From<[i16; 8]> for Weights {
        #[inline(always)]
        fn from([a, b, c, d, e, f, g, h]: [i16; 8]) -> Self {
            Self(i16x8(a, b, c, d, e, f, g, h))
        }
    }

    impl Sums {
        #[inline(always)]
        pub(crate) fn zero() -> Self {
            Self(i32x4(0, 0, 0, 0))
        }

        #[inline(always)]
        pub(crate) fn add_products(&mut self, pair: Pair, weights: Weights) {
            self.0 = i32x4_add(self.0, i32x4_dot_i16x8(pair.0, weights.0));
        }

        #[inline(always)]
        pub(crate) fn to_array(self) -> [i32; 4] {
            [
                i32x4_extract_lane::<0>(self.0),
                i32x4_extract_lane::<1>(self.0),
                i32x4_extract_lane::<2>(self.0),
                i32x4_extract_lane::<3>(self.0),
            ]
        }
    }
}

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod vectors {
    use wide::{i16x8, i32x4, u8x16};

    /// Two numbers of sixteen bits, four times.
    #[derive(Clone, Copy)]
    pub(crate) struct Pair(i16x8);

    /// Four pairs of weights.
    #[derive(Clone, Copy)]
    pub(crate) struct Weights(i16x8);

    #[derive(Clone, Copy)]
    pub(crate) struct Sums(i32x4);

    impl Pair {
        #[inline(always)]
        pub(crate) fn all(packed: i32) -> Self {
            Self(bytemuck::cast(i32x4::splat(packed)))
        }
    }

    impl From<[u8; 8]> for Weights {
        #[inline(always)]
        fn from(bytes: [u8; 8]) -> Self {
            let low: u8x16 = bytemuck::cast([u64::from_le_bytes(bytes), 0]);
            let high_halves: i16x8 = bytemuck::cast(u8x16::unpack_low(u8x16::ZERO, low));
            Self(high_halves >> 8)
        }
    }

    impl From<[i16; 8]> for Weights {
        #[inline(always)]
        fn from(weights: [i16; 8]) -> Self {
            Self(i16x8::new(weights))
        }
    }

    impl Sums {
        #[inline(always)]
        pub(crate) fn zero() -> Self {
            Self(i32x4::ZERO)
        }

        #[inline(always)]
        pub(crate) fn add_products(&mut self, pair: Pair, weights: Weights) {
            self.0 += pair.0.dot(weights.0);
        }

        #[inline(always)]
        pub(crate) fn to_array(self) -> [i32; 4] {
            self.0.to_array()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sums_are_those_of_plain_numbers(
            steps in proptest::collection::vec((any::<i16>(), any::<i16>(), any::<[i16; 8]>(), any::<[u8; 8]>()), 0..9),
        ) {
            let (mut sums, mut plain) = (Sums::zero(), [0_i32; 4]);
            let product = |a: i16, b: i16| i32::from(a) * i32::from(b);
            for (low, high, weights, bytes) in steps {
                let pair = Pair::all(i32::from(low) & 0xffff | i32::from(high) << 16);
                sums.add_products(pair, weights.into());
                sums.add_products(pair, bytes.into());
                for weights in [weights, bytes.map(|byte| i16::from(byte as i8))] {
                    for (sum, [a, b]) in plain.iter_mut().zip(weights.as_chunks::<2>().0) {
                        *sum = sum.wrapping_add(product(low, *a).wrapping_add(product(high, *b)));
                    }
                }
            }
            prop_assert_eq!(sums.to_array(), plain);
        }
    }
}
