use proptest::prelude::*;

use super::*;

const NOW_MS: i64 = 1_800_000_000_000;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn v4(number: u32) -> IpAddr {
    IpAddr::from(number.to_be_bytes())
}

fn fail(throttle: &mut Throttle, source: IpAddr, subject: &str, times: u32, now_ms: i64) {
    (0..times).for_each(|_| throttle.failed(source, subject, now_ms));
}

#[test]
fn each_failure_beyond_the_free_ones_doubles_the_wait_up_to_a_minute() {
    let mut throttle = Throttle::default();
    let source = ip("192.0.2.1");
    for n in 1..=FREE_OF_SOURCE {
        throttle.failed(source, "key:a", NOW_MS);
        assert_eq!(throttle.check(source, "key:a", NOW_MS), Ok(()), "{n}");
    }
    for retry_after_s in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        throttle.failed(source, "key:a", NOW_MS);
        assert_eq!(throttle.check(source, "key:a", NOW_MS), Err(Held { retry_after_s }));
        let wait_ms = i64::from(retry_after_s) * 1_000;
        assert_eq!(throttle.check(source, "key:a", NOW_MS + wait_ms - 1), Err(Held { retry_after_s: 1 }));
        assert_eq!(throttle.check(source, "key:a", NOW_MS + wait_ms), Ok(()));
    }
    // Whatever else it claims to be.
    assert!(throttle.check(source, "key:b", NOW_MS).is_err());
    assert!(throttle.check(ip("192.0.2.2"), "key:a", NOW_MS).is_ok());
}

#[test]
fn counts_do_not_overflow() {
    for count in [0, 1, 5, 6, 12, 13, 70, u32::MAX] {
        assert!((0..=HOLD_MS_MAX).contains(&hold_ms(count, FREE_OF_SOURCE)), "{count}");
    }
    assert_eq!(hold_ms(u32::MAX, FREE_OF_SOURCE), HOLD_MS_MAX);
}

#[test]
fn time_without_failures_is_a_new_beginning() {
    let mut throttle = Throttle::default();
    fail(&mut throttle, v4(1), "key:a", 20, NOW_MS);
    throttle.failed(v4(1), "key:a", NOW_MS + FORGET_MS);
    assert_eq!(throttle.check(v4(1), "key:a", NOW_MS + FORGET_MS), Ok(()));
}

#[test]
fn guessing_one_key_from_many_sources_gives_each_fewer_free_ones() {
    let mut throttle = Throttle::default();
    for source in 0..FREE_OF_SUBJECT + 10 {
        throttle.failed(v4(source), "key:a", NOW_MS);
    }
    assert_eq!(throttle.check(v4(0), "key:a", NOW_MS), Err(Held { retry_after_s: 60 }));
    assert_eq!(throttle.check(v4(0), "key:b", NOW_MS), Ok(()));
    assert_eq!(throttle.check(v4(999), "key:a", NOW_MS), Ok(()), "who has not failed himself gets in");
    // Whoever gets in with it shows that it is in use, and the fleet is no longer held for it.
    throttle.succeeded(v4(999), "key:a", NOW_MS);
    assert_eq!(throttle.check(v4(0), "key:a", NOW_MS), Ok(()));
}

#[test]
fn who_got_in_from_there_is_not_held_for_what_neighbours_do() {
    let mut throttle = Throttle::default();
    throttle.succeeded(v4(1), "key:good", NOW_MS);
    fail(&mut throttle, v4(1), "key:bad", 100, NOW_MS);
    assert_eq!(throttle.check(v4(1), "key:good", NOW_MS), Ok(()));
    assert!(throttle.check(v4(1), "key:bad", NOW_MS).is_err());
    // A neighbour with the name of the good key ends that.
    throttle.failed(v4(1), "key:good", NOW_MS);
    assert!(throttle.check(v4(1), "key:good", NOW_MS).is_err());
    // And so does time.
    throttle.succeeded(v4(1), "key:good", NOW_MS);
    fail(&mut throttle, v4(1), "key:bad", 1, NOW_MS + KNOWN_MS);
    fail(&mut throttle, v4(1), "key:bad", 10, NOW_MS + KNOWN_MS);
    assert!(throttle.check(v4(1), "key:good", NOW_MS + KNOWN_MS).is_err());
}

#[test]
fn success_ends_the_count_of_the_key_but_does_not_pay_for_guessing_others() {
    let mut throttle = Throttle::default();
    fail(&mut throttle, v4(1), "key:own", 6, NOW_MS);
    throttle.succeeded(v4(1), "key:own", NOW_MS);
    assert_eq!(throttle.check(v4(1), "key:own", NOW_MS), Ok(()));
    for guess in 0..20 {
        throttle.failed(v4(1), &format!("key:{guess}"), NOW_MS);
        throttle.succeeded(v4(1), "key:own", NOW_MS);
    }
    assert_eq!(throttle.check(v4(1), "key:other", NOW_MS), Err(Held { retry_after_s: 60 }));
}

#[test]
fn a_network_of_ipv6_is_one_source_and_a_mapped_address_is_ipv4() {
    let mut throttle = Throttle::default();
    for host in 0..20 {
        throttle.failed(ip(&format!("2001:db8:1:2::{host:x}")), "key:a", NOW_MS);
    }
    assert!(throttle.check(ip("2001:db8:1:2:ffff::1"), "key:a", NOW_MS).is_err());
    assert!(throttle.check(ip("2001:db8:1:3::1"), "key:a", NOW_MS).is_ok());
    fail(&mut throttle, ip("::ffff:192.0.2.1"), "key:a", 20, NOW_MS);
    assert!(throttle.check(ip("192.0.2.1"), "key:a", NOW_MS).is_err());
    assert!(throttle.check(ip("::ffff:192.0.2.2"), "key:a", NOW_MS).is_ok());
}

#[test]
fn a_flood_takes_bounded_memory_and_holds_nobody_else() {
    let mut throttle = Throttle::default();
    for number in 0..3 * ENTRIES_MAX as u32 {
        throttle.failed(v4(number), &number.to_string(), NOW_MS);
        throttle.succeeded(v4(number), &number.to_string(), NOW_MS);
        throttle.failed(v4(number), "key:victim", NOW_MS);
    }
    assert_eq!((throttle.sources.len(), throttle.known.len()), (ENTRIES_MAX, ENTRIES_MAX));
    assert!(throttle.subjects.len() <= ENTRIES_MAX);
    assert_eq!(throttle.check(ip("192.0.2.1"), "key:victim", NOW_MS), Ok(()));
}

#[test]
fn a_clock_that_is_set_back_does_not_hold_for_long() {
    let mut throttle = Throttle::default();
    fail(&mut throttle, v4(1), "key:a", 20, NOW_MS);
    assert!(
        throttle.check(v4(1), "key:a", NOW_MS - 10).is_err(),
        "two threads may see time in another order"
    );
    assert_eq!(throttle.check(v4(1), "key:a", NOW_MS - 3_600_000), Ok(()));
}

#[derive(Clone, Debug)]
enum Step {
    Fail { source: u32, subject: u8 },
    Succeed { source: u32, subject: u8 },
    Wait { ms: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u32..6, 0u8..3).prop_map(|(source, subject)| Step::Fail { source, subject }),
        1 => (0u32..6, 0u8..3).prop_map(|(source, subject)| Step::Succeed { source, subject }),
        1 => (0i64..90_000).prop_map(|ms| Step::Wait { ms }),
    ]
}

proptest! {
    /// The promises to people, whatever others do: nobody without a failure is held, nobody waits longer than a minute
    /// after the last one, and it is said how long.
    #[test]
    fn nobody_is_locked_out(steps in proptest::collection::vec(step(), 0..200)) {
        let mut throttle = Throttle::default();
        let mut now_ms = NOW_MS;
        let mut last_ms: [Option<i64>; 6] = [None; 6];
        for step in steps {
            match step {
                Step::Fail { source, subject } => {
                    throttle.failed(v4(source), &subject.to_string(), now_ms);
                    last_ms[source as usize] = Some(now_ms);
                }
                Step::Succeed { source, subject } => {
                    throttle.succeeded(v4(source), &subject.to_string(), now_ms);
                    prop_assert_eq!(throttle.check(v4(source), &subject.to_string(), now_ms), Ok(()));
                }
                Step::Wait { ms } => now_ms += ms,
            }
            for (source, last_ms) in last_ms.iter().enumerate() {
                for subject in ["0", "1", "2", "never"] {
                    let Err(Held { retry_after_s }) = throttle.check(v4(source as u32), subject, now_ms) else {
                        continue;
                    };
                    let Some(last_ms) = last_ms else {
                        return Err(TestCaseError::fail("held without a failure"));
                    };
                    let until_ms = now_ms + i64::from(retry_after_s) * 1_000;
                    prop_assert!(retry_after_s >= 1 && until_ms <= last_ms + HOLD_MS_MAX + 999);
                    prop_assert_eq!(throttle.check(v4(source as u32), subject, until_ms), Ok(()));
                }
            }
        }
    }

    #[test]
    fn any_times_are_taken(subject in ".{0,40}", times in proptest::collection::vec(any::<i64>(), 0..20)) {
        let mut throttle = Throttle::default();
        for now_ms in times {
            throttle.failed(v4(1), &subject, now_ms);
            if let Err(Held { retry_after_s }) = throttle.check(v4(1), &subject, now_ms) {
                prop_assert!((1..=60).contains(&retry_after_s));
            }
            let _ = throttle.check(v4(1), &subject, now_ms.wrapping_add(HOLD_MS_MAX));
        }
    }
}
