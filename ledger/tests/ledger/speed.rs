//! How fast a log grows: `cargo test --release -- --ignored --nocapture pushes`.

use std::time::Instant;

use sentinel_ledger::{Tree, leaf_hash};

#[test]
#[ignore = "a measurement, for a release build"]
fn pushes_a_second() {
    const ENTRIES: u64 = 4_000_000;
    let leaf = leaf_hash(b"an entry");
    let mut tree = Tree::new();
    let (start, mut n_tiles) = (Instant::now(), 0);
    for size in 1..=ENTRIES {
        tree.push(leaf);
        // A checkpoint each second at 20,000 events a second.
        if size % 20_000 == 0 {
            n_tiles += tree.take_tiles().len();
            std::hint::black_box(tree.root());
        }
    }
    let pushed = start.elapsed();
    let start = Instant::now();
    for i in 0..ENTRIES {
        std::hint::black_box(leaf_hash(&i.to_le_bytes().repeat(64)));
    }
    let hashed = start.elapsed();
    let per_second = |time: std::time::Duration| (ENTRIES as f64 / time.as_secs_f64()) as u64;
    println!(
        "{} pushes a second, {n_tiles} tiles taken at {} checkpoints",
        per_second(pushed),
        ENTRIES / 20_000
    );
    println!("{} leaf hashes of 512 bytes a second", per_second(hashed));
    assert!(per_second(pushed) > 500_000, "the budget: {} pushes a second", per_second(pushed));
}
