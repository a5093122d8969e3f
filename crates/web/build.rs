//! Makes sure that the front-end bundle is there before it is built into the program.

fn main() {
    println!("cargo::rerun-if-changed=assets/dist");
    println!("cargo::rerun-if-changed=locales");
    println!("cargo::rerun-if-changed=templates");
    if !std::path::Path::new("assets/dist/manifest.json").is_file() {
        println!(
            "cargo::error=the front-end bundle is missing: run `make assets` first (or `npm ci && npm run build` in crates/web/assets)"
        );
    }
}
