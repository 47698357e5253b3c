//! Arithmetic with fractions that comes to the same bits on every machine: additions, multiplications and divisions in one
//! written order, which hosts round alike, and functions made of nothing else. No multiplication is fused with an addition.

/// The nearest whole number, halves to the even one. For numbers below four million.
#[inline(always)]
pub(crate) const fn round(x: f32) -> i32 {
    /// So large that fractions have no room.
    const SHIFT: f32 = 12_582_912.0;
    ((x + SHIFT).to_bits() as i32).wrapping_sub(SHIFT.to_bits() as i32)
}

/// `e` to the power of a number that is not positive.
#[inline(always)]
pub(crate) const fn exp(x: f32) -> f32 {
    const SMALLEST: f32 = -80.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = if x > SMALLEST { x } else { SMALLEST };
    let n = round(x * core::f32::consts::LOG2_E);
    let whole = n as f32;
    let r = x - whole * LN_2_HIGH - whole * LN_2_LOW;
    let series = 1.0 + r * (1.0 + r * (0.5 + r * (0.166_666_67 + r * (0.041_666_67 + r * 0.008_333_334))));
    series * f32::from_bits(((n + 127) << 23) as u32)
}

/// One by the square root of a positive number.
pub(crate) const fn inverse_sqrt(x: f32) -> f32 {
    let half = 0.5 * x;
    let mut y = f32::from_bits(0x5f37_59df_u32.wrapping_sub(x.to_bits() >> 1));
    let mut n = 0;
    while n < 4 {
        y = y * (1.5 - half * y * y);
        n += 1;
    }
    y
}

/// The sum of all, by four that run along beside each other.
#[inline(always)]
pub(crate) fn sum(values: &[f32]) -> f32 {
    sum_of(values, |value| value)
}

/// The same of something made of each.
#[inline(always)]
pub(crate) fn sum_of(values: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let (fours, rest) = values.as_chunks::<4>();
    let mut lanes = [0.0; 4];
    for four in fours {
        lanes.iter_mut().zip(four).for_each(|(lane, value)| *lane += of(*value));
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, value)| *lane += of(*value));
    let [a, b, c, d] = lanes;
    (a + b) + (c + d)
}

/// The largest size of all.
#[inline(always)]
pub(crate) fn largest(values: &[f32]) -> f32 {
    let (fours, rest) = values.as_chunks::<4>();
    let mut lanes = [0.0; 4];
    for four in fours {
        lanes.iter_mut().zip(four).for_each(|(lane, value)| *lane = greater(*lane, value.abs()));
    }
    rest.iter().chain(&lanes).fold(0.0, |most, value| greater(most, value.abs()))
}

#[inline(always)]
pub(crate) const fn greater(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves_go_to_the_even_number() {
        for (x, n) in [(0.5, 0), (1.5, 2), (2.5, 2), (-0.5, 0), (-1.5, -2), (2046.6, 2047), (0.0, 0)] {
            assert_eq!(round(x), n, "{x}");
        }
    }

    /// The bits themselves, so that a host that adds up in another way is noticed.
    #[test]
    fn functions_come_to_known_bits() {
        let bits: Vec<u32> = [0.0, -0.1, -1.0, -7.5, -79.0, -300.0].map(|x| exp(x).to_bits()).to_vec();
        assert_eq!(bits, [0x3f80_0000, 0x3f67_a36d, 0x3ebc_5a9f, 0x3a10_fcdd, 0x0682_6d27, 0x05bf_ecae]);
        let bits: Vec<u32> = [1e-5, 0.3, 1.0, 700.0].map(|x| inverse_sqrt(x).to_bits()).to_vec();
        assert_eq!(bits, [0x439e_1d27, 0x3fe9_b1e9, 0x3f7f_ffff, 0x3d1a_d072]);
    }

    proptest! {
        #[test]
        fn functions_are_what_they_are_called(x in -75_f32..0.0, y in 1e-6_f32..1e6) {
            let right = f64::from(x).exp();
            prop_assert!((f64::from(exp(x)) - right).abs() <= 6e-6 * right);
            let right = 1.0 / f64::from(y).sqrt();
            prop_assert!((f64::from(inverse_sqrt(y)) - right).abs() <= 4e-7 * right);
            prop_assert_eq!(round(x * 100.0), (x * 100.0).round_ties_even() as i32);
        }
    }
}
