//! `tailsieve size`.

use serde_json::Value;

use crate::{tailsieve, told};

/// By hand: 20 000 x 2.54 us = 0.0508 cores, 0.0762 with the reserve. 20 000 x 10 s x 600 B = 120 MB open,
/// x 2.6 = 312 MB = 4.65 x 64 MiB. 2000 traces a second x 600 s are more decisions than the million that
/// is remembered: 40 MB. 20 + 24 + 8 + 64 + 320 MiB + 40 MB = 474.1 MiB = 7.4 x 64 MiB.
#[test]
fn what_a_load_needs_is_printed() {
    let load = ["size", "--rate", "20_000", "--wait", "10s", "--kept", "14%"];
    let (code, out, error) = told(&tailsieve(&[&load[..], &["--output", "json"]].concat()));
    assert_eq!(code, 0, "{error}");
    let need: Value = serde_json::from_str(&out).unwrap();
    let mib = |key: &str| need["member"][key].as_u64().unwrap() >> 20;
    assert_eq!((mib("bufferMaxBytes"), mib("memoryBytes")), (320, 512), "{out}");
    assert_eq!((&need["members"], &need["partitions"]), (&2.into(), &8.into()));
    let number = |place: &str| need.pointer(place).and_then(Value::as_f64).unwrap();
    assert!((number("/cpu/plannedCores") - 0.0762).abs() < 1e-9);
    assert!((number("/kafka/inputBytesPerSecond") - 12e6).abs() < 1.0);
    assert!((number("/kafka/decisionLogEntriesPerSecond") - 2280.0).abs() < 1e-6);
    assert!((number("/backend/spansPerSecond") - 2800.0).abs() < 1e-6);

    let (code, out, error) = told(&tailsieve(&load));
    assert_eq!(code, 0, "{error}");
    assert!(out.lines().all(|line| line == line.trim_end()), "{out}");
    for part in ["buffer.max_bytes          320MiB", "8 at least", "docs/performance.md"] {
        assert!(out.contains(part), "{part:?} is not in:\n{out}");
    }
}

#[test]
fn a_load_that_cannot_be_is_refused() {
    for args in [
        &["size"][..],
        &["size", "--rate", "0"],
        &["size", "--rate", "1", "--kept", "120%"],
        &["size", "--rate", "1", "--span-bytes", "0"],
        &["size", "--rate", "1", "--wait", "soon"],
    ] {
        let (code, _, error) = told(&tailsieve(args));
        assert_eq!(code, 2, "{args:?}: {error}");
    }
}
