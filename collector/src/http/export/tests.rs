//! The walk behind an export: what is in memory of it, and how it ends.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinHandle;

use super::*;
use crate::domain::Cursor;
use crate::store::StoreError;

/// A page of one event of this number, of so many.
fn page(at: usize, n_pages: usize) -> Opened {
    let next = (at + 1 < n_pages).then_some(Cursor { time_ms: at as i64 + 1, id: 0 });
    Opened { bodies: vec![format!("{{\"at\":\n{at}}}")], next }
}

async fn next(stream: &mut Parts) -> Option<Result<Bytes, CutOff>> {
    std::future::poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}

/// Begins a walk over so many pages and counts those that were asked for.
fn begin(
    n_pages: usize,
    fails_at: usize,
    stall_max: Duration,
) -> (Parts, Arc<AtomicUsize>, JoinHandle<Result<(), String>>) {
    let asked = Arc::new(AtomicUsize::new(1));
    let (sender, parts) = mpsc::channel(PARTS_WAITING);
    let counted = Arc::clone(&asked);
    let list = move |filter: Filter| {
        let at = filter.before.unwrap().time_ms as usize;
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            match at == fails_at {
                true => Err(KeeperError::from(StoreError("away".to_owned()))),
                false => Ok(page(at, n_pages)),
            }
        }
    };
    let walking = tokio::spawn(walk(
        Format::Jsonl,
        Filter::default(),
        page(0, n_pages),
        list,
        Taker { parts: sender, stall_max },
    ));
    (Parts { parts, is_whole: false }, asked, walking)
}

#[tokio::test]
async fn a_slow_reader_has_a_few_pages_before_it_and_gets_all_of_them() {
    let (mut stream, asked, _) = begin(100, usize::MAX, STALL_MAX);
    let mut lines = Vec::new();
    loop {
        // Whatever wants to run ahead has the time to.
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        let n_ahead = asked.load(Ordering::SeqCst) - lines.len();
        assert!(n_ahead <= PARTS_WAITING + 1, "{n_ahead} pages were made before anybody took them");
        match next(&mut stream).await {
            Some(part) => lines.push(String::from_utf8(part.unwrap().to_vec()).unwrap()),
            None => break,
        }
    }
    let expected: Vec<String> = (0..100).map(|at| format!("{{\"at\": {at}}}\n")).collect();
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_failure_on_the_way_is_no_end() {
    let (mut stream, ..) = begin(100, 3, STALL_MAX);
    for _ in 0..3 {
        next(&mut stream).await.unwrap().unwrap();
    }
    assert!(matches!(next(&mut stream).await, Some(Err(CutOff))));
}

#[tokio::test]
async fn whoever_takes_nothing_is_left_and_whoever_goes_away_ends_it() {
    let (mut stream, asked, walking) = begin(100, usize::MAX, Duration::from_millis(20));
    assert!(walking.await.unwrap().unwrap_err().contains("took nothing"));
    let mut n_parts = 0;
    let end = loop {
        match next(&mut stream).await {
            Some(Ok(_)) => n_parts += 1,
            end => break end,
        }
    };
    assert!(matches!(end, Some(Err(CutOff))), "what is missing is said");
    assert_eq!((n_parts, asked.load(Ordering::SeqCst)), (PARTS_WAITING, PARTS_WAITING + 1));

    let (stream, asked, walking) = begin(100, usize::MAX, STALL_MAX);
    drop(stream);
    assert!(walking.await.unwrap().unwrap_err().contains("gone away"));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
