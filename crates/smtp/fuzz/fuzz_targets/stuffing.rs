//! Dot-stuffing, with any octets in chunks of any size.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| {
    let (piece, octets) = input;
    skychimp_smtp::fuzzing::stuffing(octets, usize::from(piece));
});
