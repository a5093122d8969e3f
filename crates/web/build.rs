//! Says whether the front-end bundle is there (`cfg(bundle)`): it is built into the program.
//!
//! Without it everything compiles, so that `cargo check` works in a fresh clone without Node; pages then have no
//! styles and scripts. An optimised program is not built without it.

fn main() {
    println!("cargo::rerun-if-changed=assets/dist");
    println!("cargo::rerun-if-changed=locales");
    println!("cargo::rerun-if-changed=templates");
    println!("cargo::rustc-check-cfg=cfg(bundle)");
    let missing = "the front-end bundle is missing: `make assets` builds it (or `npm ci && npm run build` in crates/web/assets)";
    if std::path::Path::new("assets/dist/manifest.json").is_file() {
        println!("cargo::rustc-cfg=bundle");
    } else if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo::error={missing}");
    } else {
        println!("cargo::warning={missing}; until then pages have no styles and no scripts");
    }
}
