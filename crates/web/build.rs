//! Sets `cfg(bundle)` if the front-end bundle exists, so that it is embedded into the program.
//!
//! Without the bundle everything still compiles, so `cargo check` works in a fresh clone without
//! Node, but pages have no styles and scripts. Release builds fail without it.

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
